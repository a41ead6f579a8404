/** The end of a task's log, as it grows. */
import { Group, Switch, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { Card } from '../../ui/Page';
import { QueryView } from '../../ui/states';

const PART = 500;

export function TaskLog({ id, over }: { id: string; over: boolean }) {
  const { t } = useTranslation();
  const format = useFormat();
  const [follow, setFollow] = useState(true);
  const box = useRef<HTMLPreElement>(null);
  const query = useQuery({
    queryKey: [...keys.task(id), 'log'],
    queryFn: async ({ signal }) => {
      const part = (offset: number) =>
        ask(api.GET('/api/tasks/{task_id}/log', { params: { path: { task_id: id }, query: { limit: PART, offset } }, signal }));
      const first = await part(0);
      return first.total > PART ? part(first.total - PART) : first;
    },
    refetchInterval: over ? false : 2000,
  });
  const lines = query.data?.lines;
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, follow]);
  return (
    <Card
      title={t('task.log')}
      actions={
        <Switch size="xs" label={t('task.follow')} checked={follow} onChange={(event) => setFollow(event.currentTarget.checked)} />
      }
    >
      <QueryView query={query}>
        {(log) => (
          <>
            {log.total > log.lines.length ? (
              <Group>
                <Text size="xs" c="dimmed">
                  {t('task.logEnd', { shown: log.lines.length, total: format.number(log.total) })}
                </Text>
              </Group>
            ) : null}
            {/* A region that scrolls has to be reachable by keys. */}
            {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
            <pre className="log" ref={box} tabIndex={0} aria-label={t('task.log')}>
              {log.lines.length === 0
                ? t('task.logEmpty')
                : log.lines.map((line) => `${format.clock(line.at)}  ${line.text}`).join('\n')}
            </pre>
          </>
        )}
      </QueryView>
    </Card>
  );
}
