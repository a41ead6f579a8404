/** The versions of a server's Terraform state: what changed with each, and putting an older one on top. */
import { Button, Group, Modal, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { api, ask, onceKey } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { useCan } from '../../session/context';
import { Confirm } from '../../ui/Confirm';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';

export function StatePanel({ id }: { id: number }) {
  const { t } = useTranslation();
  const format = useFormat();
  const cache = useQueryClient();
  const writes = useCan('servers:write');
  const [shown, setShown] = useState<number | null>(null);
  const [restoring, setRestoring] = useState<number | null>(null);
  const query = useQuery({
    queryKey: keys.states(id),
    queryFn: ({ signal }) => ask(api.GET('/api/servers/{server_id}/state', { params: { path: { server_id: id } }, signal })),
  });
  const restore = useMutation({
    mutationFn: (serial: number) =>
      ask(
        api.POST('/api/servers/{server_id}/state/{serial}/restore', {
          params: { path: { server_id: id, serial }, header: { 'Idempotency-Key': onceKey() } },
          body: {},
        }),
      ),
    onSuccess: (answer) => {
      setRestoring(null);
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.states(id) });
    },
  });
  return (
    <QueryView query={query} rows={3}>
      {({ versions }) => (
        <>
          <Sheet
            label={t('state.versions')}
            empty={t('state.noVersions')}
            heads={[t('state.serial'), t('column.created'), t('state.madeBy'), '']}
            rows={versions.map((version, n) => ({
              key: version.serial,
              cells: [
                version.serial,
                format.moment(version.created_at),
                version.task_id ? <Link to={`/tasks/${version.task_id}`}>{version.task_id}</Link> : '–',
                <Group gap="xs" key="acts" wrap="nowrap">
                  <Button size="compact-xs" variant="default" onClick={() => setShown(version.serial)}>
                    {t('state.diff')}
                  </Button>
                  {writes && n > 0 ? (
                    <Button size="compact-xs" variant="default" onClick={() => setRestoring(version.serial)}>
                      {t('state.restore')}
                    </Button>
                  ) : null}
                </Group>,
              ],
            }))}
          />
          <Modal
            opened={shown !== null}
            onClose={() => setShown(null)}
            title={t('state.diffOf', { serial: shown ?? 0 })}
            size="xl"
            closeButtonProps={{ 'aria-label': t('action.close') }}
          >
            {shown === null ? null : <Diff id={id} serial={shown} />}
          </Modal>
          <Confirm
            opened={restoring !== null}
            onClose={() => setRestoring(null)}
            title={t('state.restoreOf', { serial: restoring ?? 0 })}
            text={t('state.restoreText')}
            action={t('state.restore')}
            danger={false}
            pending={restore.isPending}
            error={restore.error}
            onConfirm={() => restoring !== null && restore.mutate(restoring)}
          />
        </>
      )}
    </QueryView>
  );
}

function Diff({ id, serial }: { id: number; serial: number }) {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: [...keys.states(id), serial],
    queryFn: ({ signal }) =>
      ask(
        api.GET('/api/servers/{server_id}/state/{serial}/diff', { params: { path: { server_id: id, serial } }, signal }),
      ),
  });
  return (
    <QueryView query={query}>
      {({ changes, from }) => (
        <Stack gap="xs">
          <Text size="sm" c="dimmed">
            {from === null ? t('state.first') : t('state.comparedWith', { serial: from })}
          </Text>
          <Sheet
            label={t('state.diff')}
            empty={t('state.same')}
            heads={[t('drift.option'), t('diff.before'), t('diff.after')]}
            rows={changes.map((change) => ({
              key: `${change.address}.${change.field}`,
              cells: [
                <span key="f" className="mono">{`${change.address} ${change.field}`}</span>,
                <span key="b" className="mono diff-old">{change.secret ? t('diff.secret') : (change.before ?? '–')}</span>,
                <span key="a" className="mono diff-new">{change.secret ? t('diff.secret') : (change.after ?? '–')}</span>,
              ],
            }))}
          />
        </Stack>
      )}
    </QueryView>
  );
}
