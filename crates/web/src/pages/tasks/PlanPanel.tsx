/** What a task was planned to do, where a plan was made. */
import { Alert, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { api, ask } from '../../api/client';
import { isFault } from '../../api/fault';
import { keys } from '../../api/keys';
import { Card } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';

export function PlanPanel({ id, over }: { id: string; over: boolean }) {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: [...keys.task(id), 'plan'],
    queryFn: async ({ signal }) => {
      try {
        return await ask(api.GET('/api/tasks/{task_id}/plan', { params: { path: { task_id: id } }, signal }));
      } catch (error) {
        // It is not made yet.
        if (isFault(error) && error.status === 404) return null;
        throw error;
      }
    },
    refetchInterval: (asked) => (over || asked.state.data ? false : 3000),
  });
  const plan = query.data;
  if (!plan) return null;
  return (
    <Card title={t('plan.title')}>
      {plan.destructive ? <Alert color="red" variant="outline">{t('plan.destructive')}</Alert> : null}
      <Text size="sm">{plan.summary}</Text>
      <Sheet
        label={t('plan.title')}
        empty={t('plan.nothing')}
        heads={[t('drift.option'), t('diff.before'), t('diff.after'), t('plan.effect')]}
        rows={plan.changes.map((change) => ({
          key: change.field,
          cells: [
            <span key="f" className="mono">{change.field}</span>,
            <span key="b" className="mono diff-old">{change.before ?? '–'}</span>,
            <span key="a" className="mono diff-new">{change.after ?? '–'}</span>,
            t(`plan.${change.effect}`),
          ],
        }))}
      />
    </Card>
  );
}
