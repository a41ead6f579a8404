/** How Prometheus, Grafana and the exporters are doing. */
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { Card, Facts } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';
import { Status } from '../../ui/Status';

export function MonitoringState() {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: keys.monitoring,
    queryFn: ({ signal }) => ask(api.GET('/api/monitoring/status', { signal })),
    refetchInterval: 15_000,
  });
  const unknown = t('metric.unknown');
  return (
    <QueryView query={query} rows={8}>
      {({ prometheus, grafana, node_exporters: exporters }) => (
        <div className="grid2">
          <Card title="Prometheus" actions={<Status kind="word" value={prometheus.status} />}>
            <Facts
              rows={[
                ['URL', prometheus.url],
                [t('monitoring.targets'), prometheus.targets ?? unknown],
                [t('monitoring.healthy'), prometheus.healthy_targets ?? unknown],
                ...(prometheus.reason ? [[t('monitoring.why'), t(`reason.${prometheus.reason}`)] as const] : []),
              ]}
            />
          </Card>
          <Card title="Grafana" actions={<Status kind="word" value={grafana.status} />}>
            <Facts
              rows={[
                ['URL', grafana.url],
                [t('monitoring.dashboards'), grafana.dashboards ?? unknown],
                ...(grafana.reason
                  ? [[t('monitoring.why'), t(`reason.${grafana.reason}`, { defaultValue: grafana.reason })] as const]
                  : []),
              ]}
            />
          </Card>
          <Card title="node_exporter">
            <Facts
              rows={[
                [t('monitoring.total'), exporters.total],
                [t('monitoring.active'), exporters.active ?? unknown],
                [t('monitoring.inactive'), exporters.inactive ?? unknown],
              ]}
            />
            {exporters.down.length > 0 ? (
              <Sheet
                label={t('monitoring.silent')}
                empty=""
                minWidth={320}
                heads={[t('nav.server'), t('monitoring.why')]}
                rows={exporters.down.map((one) => ({
                  key: one.server_id,
                  cells: [
                    <Link key="s" to={`/servers/${one.server_id}`}>{one.server_name}</Link>,
                    `${t(`reason.${one.reason}`, { defaultValue: one.reason })}${one.error ? ` · ${one.error}` : ''}`,
                  ],
                }))}
              />
            ) : null}
          </Card>
        </div>
      )}
    </QueryView>
  );
}
