/** What was told. Everybody reads and removes for themselves. */
import { ActionIcon, Anchor, Button, Group, SegmentedControl, Stack, Text, Tooltip } from '@mantine/core';
import { IconCheck, IconMail, IconTrash } from '@tabler/icons-react';
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link, useSearchParams } from 'react-router';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { Ago } from '../../ui/Ago';
import { Card } from '../../ui/Page';
import { Pager, usePage } from '../../ui/Pager';
import { Empty, FaultAlert, QueryView } from '../../ui/states';
import { Status } from '../../ui/Status';
import './notifications.css';

const KINDS: readonly Schemas['SeverityWord'][] = ['error', 'warning', 'success', 'info'];
const SIZE = 50;

export function Inbox() {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [params, setParams] = useSearchParams();
  const place = usePage(SIZE);
  const type = KINDS.find((one) => one === params.get('type'));
  const unread = params.get('unread') === 'true';
  const query = useQuery({
    queryKey: [...keys.notifications, 'page', type, unread, place.page],
    queryFn: ({ signal }) =>
      ask(
        api.GET('/api/notifications', {
          params: {
            query: { limit: SIZE, offset: place.offset, ...(type ? { type } : {}), ...(unread ? { unread: 'true' as const } : {}) },
          },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
  });
  const settled = { onSettled: () => void cache.invalidateQueries({ queryKey: keys.notifications }) };
  const readAll = useMutation({ mutationFn: () => ask(api.POST('/api/notifications/read', { body: {} })), ...settled });
  const mark = useMutation({
    mutationFn: ({ id, read }: { id: number; read: boolean }) =>
      ask(api.PATCH('/api/notifications/{notification_id}', { params: { path: { notification_id: id } }, body: { read } })),
    ...settled,
  });
  const remove = useMutation({
    mutationFn: (id: number) =>
      ask(api.DELETE('/api/notifications/{notification_id}', { params: { path: { notification_id: id } } })),
    ...settled,
  });
  const set = (name: string, value: string): void =>
    setParams((old) => {
      old.delete('page');
      if (value) old.set(name, value);
      else old.delete(name);
      return old;
    });
  return (
    <Stack gap="sm">
      <Group gap="xs">
        <SegmentedControl
          size="xs"
          aria-label={t('note.which')}
          data={[
            { value: '', label: t('note.all') },
            { value: 'true', label: t('note.unread') },
          ]}
          value={unread ? 'true' : ''}
          onChange={(value) => set('unread', value)}
        />
        <SegmentedControl
          size="xs"
          aria-label={t('note.kind')}
          data={[{ value: '', label: t('note.every') }, ...KINDS.map((value) => ({ value, label: t(`status.word.${value}`) }))]}
          value={type ?? ''}
          onChange={(value) => set('type', value)}
        />
        <Button size="compact-sm" variant="default" loading={readAll.isPending} onClick={() => readAll.mutate()}>
          {t('note.readAll')}
        </Button>
      </Group>
      {[readAll, mark, remove].map((one, n) => (one.isError ? <FaultAlert key={n} error={one.error} /> : null))}
      <Card>
        <QueryView query={query} rows={10}>
          {(page) => (
            <>
              {page.notifications.length === 0 ? <Empty text={t('note.none')} /> : null}
              <ul className="notes">
                {page.notifications.map((note) => (
                  <li key={note.id} data-read={note.read}>
                    <Stack gap={2} flex={1} miw={0}>
                      <Group gap="sm">
                        <Status kind="word" value={note.type} />
                        <Text size="xs" c="dimmed">
                          <Ago at={note.created_at} />
                        </Text>
                        {note.read ? null : <Text size="xs" fw={600}>{t('note.new')}</Text>}
                      </Group>
                      <Text size="sm">{note.message}</Text>
                      <Group gap="sm">
                        {note.server_id ? <Anchor size="xs" component={Link} to={`/servers/${note.server_id}`}>{t('note.server')}</Anchor> : null}
                        {note.task_id ? <Anchor size="xs" component={Link} to={`/tasks/${note.task_id}`}>{t('note.task')}</Anchor> : null}
                      </Group>
                    </Stack>
                    <Group gap={4} wrap="nowrap">
                        <Tooltip label={t(note.read ? 'note.markUnread' : 'note.markRead')}>
                          <ActionIcon
                            variant="subtle"
                            color="gray"
                            aria-label={t(note.read ? 'note.markUnread' : 'note.markRead')}
                            onClick={() => mark.mutate({ id: note.id, read: !note.read })}
                          >
                            {note.read ? <IconMail size={16} /> : <IconCheck size={16} />}
                          </ActionIcon>
                        </Tooltip>
                        <Tooltip label={t('action.remove')}>
                          <ActionIcon variant="subtle" color="gray" aria-label={t('action.remove')} onClick={() => remove.mutate(note.id)}>
                            <IconTrash size={16} />
                          </ActionIcon>
                        </Tooltip>
                    </Group>
                  </li>
                ))}
              </ul>
              <Pager total={page.total} size={SIZE} page={place.page} go={place.go} />
            </>
          )}
        </QueryView>
      </Card>
    </Stack>
  );
}
