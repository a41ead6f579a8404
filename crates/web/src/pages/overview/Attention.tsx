/** What somebody should look at. */
import { Anchor, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { useSession } from '../../session/context';
import { Card } from '../../ui/Page';
import { Pill } from '../../ui/Status';
import { FaultAlert, Loading } from '../../ui/states';
import { useCounts } from './counts';

const BAD = ['missing', 'identity_conflict', 'error', 'unknown'] as const;

export function Attention() {
  const { t } = useTranslation();
  const { can } = useSession();
  const sees = can('servers:read');
  const { counts, whole, error } = useCounts(sees);
  const watches = can('monitoring:read');
  const alerts = useQuery({
    queryKey: [...keys.alerts, 'firing'],
    queryFn: ({ signal }) => ask(api.GET('/api/monitoring/alerts', { params: { query: { status: 'firing', limit: 5 } }, signal })),
    enabled: watches,
    refetchInterval: 15_000,
  });
  const drift = useQuery({
    queryKey: [...keys.alerts, 'drift'],
    queryFn: ({ signal }) =>
      ask(api.GET('/api/monitoring/alerts', { params: { query: { status: 'firing', rule: 'drift', limit: 1 } }, signal })),
    enabled: watches,
    refetchInterval: 15_000,
  });
  const system = useQuery({
    queryKey: keys.system,
    queryFn: ({ signal }) => ask(api.GET('/api/system/status', { signal })),
    enabled: can('system:read'),
    refetchInterval: 15_000,
  });
  const failed = error ?? alerts.error ?? system.error;
  const bad = counts.filter((one) => one.count > 0 && BAD.some((state) => state === one.status));
  const down = Object.entries(system.data?.services ?? {}).filter(([, word]) => word === 'down');
  const drifted = drift.data?.total ?? 0;
  const firing = alerts.data?.alerts ?? [];
  const calm = bad.length === 0 && down.length === 0 && drifted === 0 && firing.length === 0;
  const known = (whole || !sees) && !alerts.isLoading && !system.isLoading;
  return (
    <Card title={t('overview.attention')}>
      {failed ? <FaultAlert error={failed} /> : null}
      {!known && !failed ? <Loading rows={3} /> : null}
      {known && calm && !failed ? <Pill tone="good">{t('overview.calm')}</Pill> : null}
      <ul className="plain">
        {bad.map((one) => (
          <li key={one.status}>
            <Pill tone="bad">{t(`status.server.${one.status}`)}</Pill>
            <Anchor component={Link} size="sm" to={`/servers?status=${one.status}`}>
              {t('overview.servers', { count: one.count })}
            </Anchor>
          </li>
        ))}
        {down.map(([name]) => (
          <li key={name}>
            <Pill tone="bad">{t('status.word.down')}</Pill>
            <Anchor component={Link} size="sm" to="/system">
              {t(`service.${name}`, { defaultValue: name })}
            </Anchor>
            {system.data?.reasons[name] ? <Text size="sm">{system.data.reasons[name]}</Text> : null}
          </li>
        ))}
        {drifted > 0 ? (
          <li>
            <Pill tone="warn">{t('rule.drift')}</Pill>
            <Anchor component={Link} size="sm" to="/monitoring?tab=alerts&rule=drift">
              {t('overview.servers', { count: drifted })}
            </Anchor>
          </li>
        ) : null}
        {firing
          .filter((alert) => alert.rule !== 'drift')
          .map((alert) => (
            <li key={alert.id}>
              <Pill tone={alert.severity === 'error' ? 'bad' : 'warn'}>{t(`rule.${alert.rule}`)}</Pill>
              <Anchor
                component={Link}
                size="sm"
                to={alert.server_id ? `/servers/${alert.server_id}` : '/monitoring?tab=alerts'}
              >
                {alert.subject}
              </Anchor>
            </li>
          ))}
      </ul>
    </Card>
  );
}
