/** Secrets by name. What one holds is shown to people who ask for it, and only for a while. */
import { Anchor, Breadcrumbs, Button, Group } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useSearchParams } from 'react-router';
import { call } from '../../api/call';
import { api, ask, type Schemas } from '../../api/client';
import { isFault } from '../../api/fault';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import { Confirm } from '../../ui/Confirm';
import { Card, Facts, Page } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';
import { Status } from '../../ui/Status';
import { Reveal } from './Reveal';
import { SecretForm } from './SecretForm';

/** Where nothing is kept there is no such folder: the last name of it is gone, or there was none yet. */
async function namesBelow(folder: string, signal: AbortSignal): Promise<Pick<Schemas['SecretNames'], 'keys'>> {
  try {
    return await call<Schemas['SecretNames']>('GET', `/api/vault/secrets/${folder}?list=true`, { signal });
  } catch (error) {
    if (isFault(error) && error.status === 404) return { keys: [] };
    throw error;
  }
}

export default function SecretsPage() {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const writes = useCan('secrets:write');
  const [params] = useSearchParams();
  const folder = params.get('at') ?? 'secret';
  const [writing, setWriting] = useState(false);
  const [shown, setShown] = useState<string | null>(null);
  const [going, setGoing] = useState<string | null>(null);
  const status = useQuery({
    queryKey: [...keys.secrets, 'status'],
    queryFn: ({ signal }) => ask(api.GET('/api/vault/status', { signal })),
    refetchInterval: 30_000,
  });
  const names = useQuery({
    queryKey: [...keys.secrets, 'names', folder],
    queryFn: ({ signal }) => namesBelow(folder, signal),
  });
  const remove = useMutation({
    mutationFn: (path: string) => call<{ message: string }>('DELETE', `/api/vault/secrets/${path}?all=true`),
    onSuccess: (answer) => {
      setGoing(null);
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.secrets });
    },
  });
  const parts = folder.split('/');
  return (
    <Page
      title={t('nav.secrets')}
      actions={
        writes ? (
          <Button size="compact-sm" onClick={() => setWriting(true)}>
            {t('secret.new')}
          </Button>
        ) : null
      }
    >
      <Card title={t('secret.store')}>
        <QueryView query={status} rows={2}>
          {(store) => (
            <Facts
              rows={[
                [t('column.status'), <Status key="s" kind="word" value={store.status} />],
                [t('secret.kind'), store.store],
                [t('system.version'), store.version],
                ...(store.reason ? [[t('monitoring.why'), store.reason] as const] : []),
              ]}
            />
          )}
        </QueryView>
      </Card>
      <Card title={t('secret.names')}>
        <Breadcrumbs mb="sm">
          {parts.map((part, n) => (
            <Anchor key={part} component={Link} size="sm" to={`?at=${parts.slice(0, n + 1).join('/')}`}>
              {part}
            </Anchor>
          ))}
        </Breadcrumbs>
        <QueryView query={names}>
          {(list) => (
            <Sheet
              label={t('secret.names')}
              empty={t('secret.none')}
              minWidth={360}
              heads={[t('column.name'), t('list.actions')]}
              rows={list.keys.map((name) => {
                const path = `${folder}/${name.replace(/\/$/, '')}`;
                if (name.endsWith('/')) {
                  const into = (
                    <Anchor key="n" component={Link} size="sm" to={`?at=${path}`}>
                      {name}
                    </Anchor>
                  );
                  return { key: name, cells: [into, '–'] };
                }
                const acts = (
                  <Group key="a" gap={6}>
                    <Button size="compact-xs" variant="default" onClick={() => setShown(path)}>
                      {t('secret.reveal')}
                    </Button>
                    {writes ? (
                      <Button
                        size="compact-xs"
                        variant="default"
                        c="var(--tpm-bad)"
                        onClick={() => {
                          remove.reset();
                          setGoing(path);
                        }}
                      >
                        {t('action.delete')}
                      </Button>
                    ) : null}
                  </Group>
                );
                return { key: name, cells: [<span key="n" className="mono">{name}</span>, acts] };
              })}
            />
          )}
        </QueryView>
      </Card>
      {writing ? <SecretForm folder={folder} onClose={() => setWriting(false)} /> : null}
      {shown ? <Reveal path={shown} onClose={() => setShown(null)} /> : null}
      <Confirm
        opened={going !== null}
        onClose={() => setGoing(null)}
        title={t('secret.deleteOf', { name: going ?? '' })}
        text={t('secret.deleteText')}
        word={going ?? ''}
        action={t('action.delete')}
        pending={remove.isPending}
        error={remove.error}
        onConfirm={() => going && remove.mutate(going)}
      />
    </Page>
  );
}
