/** What is or was wrong. */
import { Group, Select } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link, useSearchParams } from 'react-router';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { Ago } from '../../ui/Ago';
import { Card } from '../../ui/Page';
import { Pager, usePage } from '../../ui/Pager';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';
import { Status } from '../../ui/Status';

const STATES: readonly Schemas['AlertStateWord'][] = ['firing', 'pending', 'resolved'];
const RULES: readonly Schemas['AlertRuleWord'][] = [
  'server_down', 'exporter_down', 'memory_high', 'disk_nearly_full', 'drift', 'node_offline', 'certificate_ends',
  'backup_old', 'external',
];
const SIZE = 50;

export function Alerts() {
  const { t } = useTranslation();
  const [params, setParams] = useSearchParams();
  const place = usePage(SIZE);
  const status = STATES.find((one) => one === params.get('status'));
  const rule = RULES.find((one) => one === params.get('rule'));
  const query = useQuery({
    queryKey: [...keys.alerts, 'page', status, rule, place.page],
    queryFn: ({ signal }) =>
      ask(
        api.GET('/api/monitoring/alerts', {
          params: {
            query: { limit: SIZE, offset: place.offset, ...(status ? { status } : {}), ...(rule ? { rule } : {}) },
          },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
  });
  const pick = (name: 'status' | 'rule', label: string, data: { value: string; label: string }[], value?: string) => (
    <Select
      size="xs"
      clearable
      w={170}
      aria-label={label}
      placeholder={label}
      data={data}
      value={value ?? null}
      onChange={(next) =>
        setParams((old) => {
          old.delete('page');
          if (next) old.set(name, next);
          else old.delete(name);
          return old;
        })
      }
    />
  );
  return (
    <Card title={t('monitoring.alerts')}>
      <Group gap="xs" mb="sm">
        {pick('status', t('column.status'), STATES.map((value) => ({ value, label: t(`status.word.${value}`) })), status)}
        {pick('rule', t('monitoring.rule'), RULES.map((value) => ({ value, label: t(`rule.${value}`) })), rule)}
      </Group>
      <QueryView query={query}>
        {({ alerts, total }) => (
          <>
            <Sheet
              label={t('monitoring.alerts')}
              empty={t('monitoring.noAlerts')}
              minWidth={680}
              heads={[t('column.status'), t('monitoring.rule'), t('task.about'), t('monitoring.detail'), t('monitoring.since'), t('monitoring.over')]}
              rows={alerts.map((alert) => ({
                key: alert.id,
                cells: [
                  <Status key="s" kind="word" value={alert.status} />,
                  t(`rule.${alert.rule}`),
                  alert.server_id ? <Link key="l" to={`/servers/${alert.server_id}`}>{alert.subject}</Link> : alert.subject,
                  alert.detail ?? '–',
                  <Ago key="a" at={alert.since} />,
                  <Ago key="r" at={alert.resolved_at} />,
                ],
              }))}
            />
            <Pager total={total} size={SIZE} page={place.page} go={place.go} />
          </>
        )}
      </QueryView>
    </Card>
  );
}
