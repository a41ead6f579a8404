/** What is at work now, and what ended last. */
import { Anchor } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { Card } from '../../ui/Page';
import { QueryView } from '../../ui/states';
import { TaskRows } from '../tasks/TaskRows';

export function Recent() {
  const { t } = useTranslation();
  const running = useQuery({
    queryKey: [...keys.tasks, 'running'],
    queryFn: ({ signal }) => ask(api.GET('/api/tasks', { params: { query: { status: 'running', limit: 1 } }, signal })),
  });
  const pending = useQuery({
    queryKey: [...keys.tasks, 'pending'],
    queryFn: ({ signal }) => ask(api.GET('/api/tasks', { params: { query: { status: 'pending', limit: 1 } }, signal })),
  });
  const latest = useQuery({
    queryKey: [...keys.tasks, 'latest'],
    queryFn: ({ signal }) => ask(api.GET('/api/tasks', { params: { query: { limit: 6 } }, signal })),
  });
  return (
    <Card
      title={t('overview.tasks')}
      actions={
        <span>
          <Anchor component={Link} to="/tasks?status=running" size="sm">
            {t('overview.running', { count: running.data?.total ?? 0 })}
          </Anchor>
          {' · '}
          <Anchor component={Link} to="/tasks?status=pending" size="sm">
            {t('overview.waiting', { count: pending.data?.total ?? 0 })}
          </Anchor>
        </span>
      }
    >
      <QueryView query={latest}>{({ tasks }) => <TaskRows tasks={tasks} empty={t('task.none')} brief />}</QueryView>
    </Card>
  );
}
