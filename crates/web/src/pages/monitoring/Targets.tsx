/** What Prometheus is to scrape, and telling it. */
import { Alert, Button, Stack, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import { Card } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { FaultAlert, QueryView } from '../../ui/states';

export function Targets() {
  const { t } = useTranslation();
  const writes = useCan('monitoring:write');
  const query = useQuery({
    queryKey: [...keys.monitoring, 'targets'],
    queryFn: ({ signal }) => ask(api.GET('/api/monitoring/targets', { signal })),
    refetchInterval: 30_000,
  });
  const publish = useMutation({ mutationFn: () => ask(api.POST('/api/monitoring/prometheus/update', { body: {} })) });
  const told = publish.data;
  return (
    <Stack gap="md">
      <Card
        title={t('monitoring.targets')}
        actions={
          writes ? (
            <Button size="compact-sm" variant="default" loading={publish.isPending} onClick={() => publish.mutate()}>
              {t('monitoring.publish')}
            </Button>
          ) : null
        }
      >
        {publish.isError ? <FaultAlert error={publish.error} /> : null}
        {told ? (
          <Alert color="gray" variant="outline" title={told.message} mb="sm">
            <Text size="sm">
              {t('monitoring.published', {
                added: told.added.length,
                removed: told.removed.length,
                changed: told.changed.length,
              })}
            </Text>
            <Text size="sm">
              {told.prometheus.reason ? t(`reason.${told.prometheus.reason}`) : ''}{' '}
              {t(`reload.${told.prometheus.reload}`)}
            </Text>
          </Alert>
        ) : null}
        <QueryView query={query}>
          {(groups) => (
            <Sheet
              label={t('monitoring.targets')}
              empty={t('monitoring.noTargets')}
              heads={[t('monitoring.target'), t('nav.server'), t('column.role'), t('column.node'), t('column.project')]}
              rows={groups.flatMap((group) =>
                group.targets.map((target) => ({
                  key: target,
                  cells: [
                    <span key="t" className="mono">{target}</span>,
                    <Link key="s" to={`/servers/${group.labels['server_id'] ?? ''}`}>{group.labels['server_name'] ?? '–'}</Link>,
                    group.labels['role'] ?? '–',
                    group.labels['node'] ?? '–',
                    group.labels['project'] ?? '–',
                  ],
                })),
              )}
            />
          )}
        </QueryView>
      </Card>
    </Stack>
  );
}
