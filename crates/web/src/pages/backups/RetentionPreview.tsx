/** What a schedule's retention keeps of its backups, and why, and what it would let go. */
import { Button, Group, Modal, Select, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { pruneSchedule, type Schedule } from '../../api/schedules';
import { useCan } from '../../session/context';
import { Confirm } from '../../ui/Confirm';
import { Empty, QueryView } from '../../ui/states';
import { PruneCalendar } from './PruneCalendar';

export function RetentionPreview({ schedule, onClose }: { schedule: Schedule; onClose: () => void }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [asking, setAsking] = useState(false);
  const query = useQuery({
    queryKey: keys.prunePreview(schedule.id),
    queryFn: ({ signal }) => pruneSchedule(schedule.id, true, signal),
    // What is decided upon is not what was so a while ago.
    staleTime: 0,
  });
  const prune = useMutation({
    mutationFn: () => pruneSchedule(schedule.id, false),
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.backups });
      onClose();
    },
  });
  const going = query.data?.remove ?? 0;
  if (asking) {
    return (
      <Confirm
        opened
        onClose={() => setAsking(false)}
        title={t('schedule.pruneOf', { name: schedule.name })}
        text={t('schedule.pruneText', { count: going })}
        names={(query.data?.backups ?? []).filter((one) => one.mark === 'remove').map((one) => `${one.server_name} ${one.backup_id}`)}
        word={schedule.name}
        action={t('schedule.prune')}
        pending={prune.isPending}
        error={prune.error}
        onConfirm={() => prune.mutate()}
      />
    );
  }
  return (
    <Modal
      opened
      onClose={onClose}
      size="xl"
      title={t('schedule.previewOf', { name: schedule.name })}
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <Stack gap="sm">
        <QueryView query={query} rows={8}>
          {(pruned) => (
            <Content
              pruned={pruned}
              timeZone={schedule.time_zone}
              onPrune={() => {
                prune.reset();
                setAsking(true);
              }}
            />
          )}
        </QueryView>
      </Stack>
    </Modal>
  );
}

interface Props {
  pruned: Schemas['Pruned'];
  timeZone: string;
  onPrune: () => void;
}

function Content({ pruned, timeZone, onPrune }: Props) {
  const { t } = useTranslation();
  const writes = useCan('backups:write');
  const [server, setServer] = useState<string | null>(null);
  const names = [...new Set(pruned.backups.map((one) => one.server_name))].sort();
  const shown = server === null ? pruned.backups : pruned.backups.filter((one) => one.server_name === server);
  if (pruned.backups.length === 0) return <Empty text={t('schedule.nothingKept')} />;
  return (
    <>
      <Group justify="space-between" gap="xs">
        <Text size="sm">
          {pruned.message} · {t('schedule.stays', { number: pruned.keep })}
        </Text>
        {writes && pruned.remove > 0 ? (
          <Button size="compact-sm" color="red" onClick={onPrune}>
            {t('schedule.prune')}
          </Button>
        ) : null}
      </Group>
      {names.length > 1 ? (
        <Select
          size="xs"
          w={220}
          clearable
          searchable
          aria-label={t('nav.server')}
          placeholder={t('schedule.way_all')}
          data={names}
          value={server}
          onChange={setServer}
        />
      ) : null}
      <PruneCalendar backups={shown} timeZone={timeZone} />
    </>
  );
}
