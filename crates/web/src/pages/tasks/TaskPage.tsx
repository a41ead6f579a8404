/** One task: how far it is, step by step, server by server; its plan and its log. */
import { Alert, Button, Group, Progress, SimpleGrid, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate, useParams } from 'react-router';
import { api, ask, onceKey, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { useCan } from '../../session/context';
import { Card, Page } from '../../ui/Page';
import { FaultAlert, QueryView } from '../../ui/states';
import { Status } from '../../ui/Status';
import { PlanPanel } from './PlanPanel';
import { Steps } from './Steps';
import { TaskLog } from './TaskLog';
import { TaskRows } from './TaskRows';

export function isOver(status: Schemas['TaskStatus']): boolean {
  return status !== 'pending' && status !== 'running';
}

export default function TaskPage() {
  const id = useParams()['id'] ?? '';
  const query = useQuery({
    queryKey: keys.task(id),
    queryFn: ({ signal }) => ask(api.GET('/api/tasks/{task_id}', { params: { path: { task_id: id } }, signal })),
    // Live events tell of it; the steps between them are asked for.
    refetchInterval: (asked) => (asked.state.data && isOver(asked.state.data.status) ? false : 2000),
  });
  return (
    <QueryView query={query} rows={10}>
      {(task) => <Content task={task} />}
    </QueryView>
  );
}

function Content({ task }: { task: Schemas['Task'] }) {
  const { t } = useTranslation();
  const format = useFormat();
  const over = isOver(task.status);
  return (
    <Page title={t(`task.${task.kind}`, { defaultValue: task.kind })} actions={<Acts task={task} />}>
      <Card>
        <Stack gap="sm">
          <Group gap="md">
            <Text fw={600} component="span" data-testid="task-status">
              <Status kind="task" value={task.status} />
            </Text>
            {task.server_id ? <Link to={`/servers/${task.server_id}`}>{task.server_name ?? task.server_id}</Link> : null}
            <Text size="sm">{task.message}</Text>
          </Group>
          <Progress value={task.progress} aria-label={`${t('task.progress')} ${task.progress} %`} />
          <Text size="xs" c="dimmed">
            {task.progress} % · {t('task.begun')} {format.moment(task.created_at)} ·{' '}
            {t(over ? 'task.ended' : 'task.seen')} {format.moment(task.updated_at)} · <span className="mono">{task.task_id}</span>
          </Text>
          {task.summary ? <Summary summary={task.summary} /> : null}
        </Stack>
      </Card>
      {task.error ? (
        <Alert color="red" variant="outline" title={task.error.message}>
          <Text size="sm">{t(`advice.${task.error.code}`, { defaultValue: t('advice.other') })}</Text>
          {task.error.details.step ? <Text size="sm">{t('task.failedStep', { step: task.error.details.step })}</Text> : null}
          {task.error.details.proxmox ? <Text className="mono">{task.error.details.proxmox}</Text> : null}
        </Alert>
      ) : null}
      {task.children ? (
        <Card title={t('task.children')}>
          <TaskRows tasks={task.children} empty={t('task.none')} />
        </Card>
      ) : null}
      {task.steps.length > 0 ? (
        <Card title={t('task.steps')}>
          <Steps steps={task.steps} />
        </Card>
      ) : null}
      {task.steps.some((step) => step.step === 'plan') ? <PlanPanel id={task.task_id} over={over} /> : null}
      <TaskLog id={task.task_id} over={over} />
    </Page>
  );
}

function Summary({ summary }: { summary: Schemas['BulkSummary'] }) {
  const { t } = useTranslation();
  const rows = ['total', 'completed', 'failed', 'cancelled', 'undone'] as const;
  return (
    <SimpleGrid cols={{ base: 3, sm: 5 }} spacing="xs">
      {rows.map((row) => (
        <div key={row}>
          <Text size="xs" c="dimmed">
            {t(`task.sum_${row}`)}
          </Text>
          <Text fw={600} className="num">
            {summary[row]}
          </Text>
        </div>
      ))}
    </SimpleGrid>
  );
}

function Acts({ task }: { task: Schemas['Task'] }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const navigate = useNavigate();
  const writes = useCan('tasks:write');
  const params = { path: { task_id: task.task_id } };
  const cancel = useMutation({
    mutationFn: () => ask(api.POST('/api/tasks/{task_id}/cancel', { params })),
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.task(task.task_id) });
    },
  });
  const retry = useMutation({
    mutationFn: () =>
      ask(api.POST('/api/tasks/{task_id}/retry', { params: { ...params, header: { 'Idempotency-Key': onceKey() } }, body: {} })),
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      void navigate(`/tasks/${answer.task_id}`);
    },
  });
  if (!writes) return null;
  const failed = task.status === 'failed' || task.status === 'partial' || task.status === 'cancelled';
  return (
    <>
      {isOver(task.status) ? null : (
        <Button
          size="compact-sm"
          variant="default"
          loading={cancel.isPending}
          disabled={task.cancel_requested}
          onClick={() => cancel.mutate()}
        >
          {task.cancel_requested ? t('task.cancelling') : t('task.cancel')}
        </Button>
      )}
      {failed ? (
        <Button size="compact-sm" loading={retry.isPending} onClick={() => retry.mutate()}>
          {t('task.retry')}
        </Button>
      ) : null}
      {cancel.isError || retry.isError ? <FaultAlert error={cancel.error ?? retry.error} /> : null}
    </>
  );
}
