/** All tasks. */
import { Group, Select } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { Card, Page } from '../../ui/Page';
import { Pager, usePage } from '../../ui/Pager';
import { QueryView } from '../../ui/states';
import { TaskRows } from './TaskRows';

const STATES: readonly Schemas['TaskStatus'][] = ['pending', 'running', 'completed', 'partial', 'failed', 'cancelled'];
const KINDS: readonly Schemas['TaskKindWord'][] = [
  'create_server', 'delete_server', 'start_server', 'stop_server', 'restart_server', 'change_server', 'import_server',
  'remove_orphan', 'bulk_create', 'bulk_delete', 'bulk_power',
];
const SIZE = 50;

export default function TasksPage() {
  const { t } = useTranslation();
  const [params, setParams] = useSearchParams();
  const place = usePage(SIZE);
  const status = STATES.find((one) => one === params.get('status'));
  const kind = KINDS.find((one) => one === params.get('kind'));
  const query = useQuery({
    queryKey: [...keys.tasks, 'page', status, kind, place.page],
    queryFn: ({ signal }) =>
      ask(
        api.GET('/api/tasks', {
          params: {
            query: { limit: SIZE, offset: place.offset, ...(status ? { status } : {}), ...(kind ? { kind } : {}) },
          },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
  });
  const set = (name: string, value: string | null): void =>
    setParams((old) => {
      old.delete('page');
      if (value) old.set(name, value);
      else old.delete(name);
      return old;
    });
  return (
    <Page title={t('nav.tasks')}>
      <Group gap="xs">
        <Select
          size="xs"
          clearable
          w={140}
          aria-label={t('column.status')}
          placeholder={t('column.status')}
          data={STATES.map((value) => ({ value, label: t(`status.task.${value}`) }))}
          value={status ?? null}
          onChange={(value) => set('status', value)}
        />
        <Select
          size="xs"
          clearable
          w={170}
          aria-label={t('task.kind')}
          placeholder={t('task.kind')}
          data={KINDS.map((value) => ({ value, label: t(`task.${value}`) }))}
          value={kind ?? null}
          onChange={(value) => set('kind', value)}
        />
      </Group>
      <Card>
        <QueryView query={query} rows={10}>
          {({ tasks, total }) => (
            <>
              <TaskRows tasks={tasks} empty={t('task.none')} />
              <Pager total={total} size={SIZE} page={place.page} go={place.go} />
            </>
          )}
        </QueryView>
      </Card>
    </Page>
  );
}
