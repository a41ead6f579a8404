/** Start, stop, restart, and the end of a server. */
import { Button, Menu } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { api, ask, onceKey, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import { Confirm } from '../../ui/Confirm';

type Act = Schemas['PowerWord'] | 'delete' | 'recreate' | 'forget';

/** What makes sense in which state; the service decides. */
function offered(status: Schemas['ServerStatus']): Act[] {
  if (status === 'running') return ['restarted', 'stopped', 'delete'];
  if (status === 'stopped') return ['running', 'delete'];
  if (status === 'missing') return ['recreate', 'forget'];
  if (status === 'identity_conflict') return ['forget'];
  if (status === 'unknown') return ['running', 'stopped', 'delete'];
  return ['delete'];
}

export function PowerActions({ server }: { server: Schemas['Server'] }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const navigate = useNavigate();
  const writes = useCan('servers:write');
  const [act, setAct] = useState<Act | null>(null);
  const [once, setOnce] = useState('');
  const run = useMutation({
    mutationFn: (what: Act): Promise<{ message: string; task_id?: string | null }> => {
      const path = { server_id: server.id };
      const params = { path, header: { 'Idempotency-Key': once } };
      if (what === 'delete') return ask(api.DELETE('/api/servers/{server_id}', { params: { path } }));
      if (what === 'forget') return ask(api.POST('/api/servers/{server_id}/forget', { params: { path }, body: {} }));
      if (what === 'recreate') return ask(api.POST('/api/servers/{server_id}/recreate', { params, body: {} }));
      return ask(api.PUT('/api/servers/{server_id}/status', { params, body: { status: what } }));
    },
    onSuccess: (answer, what) => {
      setAct(null);
      notifications.show({ message: answer.message });
      if (what === 'forget') void navigate('/servers');
      void cache.invalidateQueries({ queryKey: keys.server(server.id) });
      void cache.invalidateQueries({ queryKey: keys.tasks });
    },
  });
  if (!writes) return null;
  const open = (what: Act): void => {
    run.reset();
    setOnce(onceKey());
    setAct(what);
  };
  const acts = offered(server.status);
  const gone = act === 'delete' || act === 'forget';
  return (
    <>
      {acts
        .filter((one) => one !== 'delete' && one !== 'forget')
        .map((one) => (
          <Button key={one} size="compact-sm" variant="default" onClick={() => open(one)}>
            {t(`power.${one}`)}
          </Button>
        ))}
      {acts
        .filter((one) => one === 'delete' || one === 'forget')
        .map((one) => (
          <Button key={one} size="compact-sm" variant="default" c="var(--tpm-bad)" onClick={() => open(one)}>
            {t(`power.${one}`)}
          </Button>
        ))}
      <Confirm
        opened={act !== null}
        onClose={() => setAct(null)}
        title={act ? t(`confirm.${act}`, { name: server.name }) : ''}
        text={act ? t(`confirm.${act}Text`, { defaultValue: t('confirm.powerText') }) : ''}
        {...(gone ? { word: server.name } : {})}
        danger={gone}
        action={act ? t(`power.${act}`) : ''}
        pending={run.isPending}
        error={run.error}
        onConfirm={() => act && run.mutate(act)}
      />
    </>
  );
}

/** Takes the server away as Terraform code. */
export function Eject({ server }: { server: Schemas['Server'] }) {
  const { t } = useTranslation();
  return (
    <Menu position="bottom-end" keepMounted={false}>
      <Menu.Target>
        <Button size="compact-sm" variant="default">
          {t('server.more')}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item component="a" href={`/api/servers/${server.id}/terraform`} download={`${server.name}.zip`}>
          {t('server.eject')}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
