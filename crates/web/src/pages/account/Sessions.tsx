/** Where one is logged in. */
import { Button, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { Ago } from '../../ui/Ago';
import { Card } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { FaultAlert, QueryView } from '../../ui/states';

export function Sessions() {
  const { t } = useTranslation();
  const format = useFormat();
  const cache = useQueryClient();
  const query = useQuery({ queryKey: keys.sessions, queryFn: ({ signal }) => ask(api.GET('/api/auth/sessions', { signal })) });
  const end = useMutation({
    mutationFn: (id: string) =>
      ask(api.DELETE('/api/auth/sessions/{session_id}', { params: { path: { session_id: id } }, body: {} })),
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.sessions });
    },
  });
  return (
    <Card title={t('account.sessions')}>
      {end.isError ? <FaultAlert error={end.error} /> : null}
      <QueryView query={query}>
        {({ sessions }) => (
          <Sheet
            label={t('account.sessions')}
            empty={t('account.noSessions')}
            minWidth={640}
            heads={[t('account.agent'), t('account.address'), t('account.since'), t('account.seen'), t('list.actions')]}
            rows={sessions.map((session) => ({
              key: session.id,
              cells: [
                <Text key="g" size="sm" truncate maw={320} title={session.agent}>
                  {session.agent || '–'}
                </Text>,
                session.address,
                format.moment(session.created_at),
                <Ago key="a" at={session.last_seen_at} />,
                <Button
                  key="e"
                  size="compact-xs"
                  variant="default"
                  loading={end.isPending && end.variables === session.id}
                  onClick={() => end.mutate(session.id)}
                >
                  {t('account.end')}
                </Button>,
              ],
            }))}
          />
        )}
      </QueryView>
    </Card>
  );
}
