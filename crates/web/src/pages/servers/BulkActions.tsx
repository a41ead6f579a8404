/** What can be done with several servers at once. */
import { Button, Group, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { api, ask, onceKey, type Schemas } from '../../api/client';
import { Confirm } from '../../ui/Confirm';

type Act = Schemas['PowerWord'] | 'delete';
const ACTS: readonly Act[] = ['running', 'stopped', 'restarted', 'delete'];

interface Props {
  selected: ReadonlyMap<number, string>;
  onClear: () => void;
}

export function BulkActions({ selected, onClear }: Props) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [act, setAct] = useState<Act | null>(null);
  const [once, setOnce] = useState('');
  const ids = [...selected.keys()];
  const names = [...selected.values()];
  const word = names.length === 1 ? (names[0] ?? '') : t('servers.deleteWord', { count: names.length });
  const run = useMutation({
    mutationFn: async (what: Act): Promise<{ message: string; task_id: string | null }> => {
      const header = { 'Idempotency-Key': once };
      if (what === 'delete') return ask(api.POST('/api/servers/bulk-delete', { params: { header }, body: { server_ids: ids } }));
      return ask(api.POST('/api/servers/bulk-power', { params: { header }, body: { server_ids: ids, status: what } }));
    },
    onSuccess: (answer) => {
      setAct(null);
      onClear();
      notifications.show({ message: answer.message });
      if (answer.task_id) void navigate(`/tasks/${answer.task_id}`);
    },
  });
  const open = (what: Act): void => {
    run.reset();
    setOnce(onceKey());
    setAct(what);
  };
  return (
    <Group gap="xs" role="toolbar" aria-label={t('servers.bulk')}>
      <Text size="sm" fw={600}>
        {t('servers.selected', { count: ids.length })}
      </Text>
      {ACTS.map((one) => (
        <Button
          key={one}
          size="compact-sm"
          variant="default"
          {...(one === 'delete' ? { c: 'var(--tpm-bad)' } : {})}
          onClick={() => open(one)}
        >
          {t(`power.${one}`)}
        </Button>
      ))}
      <Button size="compact-sm" variant="subtle" color="gray" onClick={onClear}>
        {t('servers.clear')}
      </Button>
      <Confirm
        opened={act !== null}
        onClose={() => setAct(null)}
        title={act ? t(`confirm.${act}Many`, { count: names.length }) : ''}
        text={act === 'delete' ? t('confirm.deleteText') : t('confirm.powerText')}
        names={names}
        {...(act === 'delete' ? { word } : {})}
        danger={act === 'delete'}
        action={act ? t(`power.${act}`) : ''}
        pending={run.isPending}
        error={run.error}
        onConfirm={() => act && run.mutate(act)}
      />
    </Group>
  );
}
