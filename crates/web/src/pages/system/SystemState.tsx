/** How the service and what it depends on are doing. */
import { Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { Ago } from '../../ui/Ago';
import { Card, Facts } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';
import { Pill, Status } from '../../ui/Status';
import { RestoredCopy } from './RestoredCopy';

export function SystemState() {
  const { t } = useTranslation();
  const format = useFormat();
  const query = useQuery({
    queryKey: keys.system,
    queryFn: ({ signal }) => ask(api.GET('/api/system/status', { signal })),
    refetchInterval: 10_000,
  });
  const percent = (value: number | null): string => (value === null ? t('metric.unknown') : format.percent(value));
  return (
    <QueryView query={query} rows={8}>
      {({ system, services, reasons, latency_ms, resources, apis, workers }) => (
        <Stack gap="md">
          {system.restored_at ? <RestoredCopy since={system.restored_at} /> : null}
          <div className="grid2">
            <Card title={t('system.service')} actions={<Status kind="word" value={system.status} />}>
              <Facts
                rows={[
                  [t('system.version'), system.version],
                  [t('system.uptime'), system.uptime],
                  [t('system.asked'), format.moment(system.last_updated)],
                  [t('metric.cpu_usage'), percent(resources.cpu_usage)],
                  [t('metric.memory_usage'), percent(resources.memory_usage)],
                  [t('metric.disk_usage'), percent(resources.disk_usage)],
                ]}
              />
            </Card>
            <Card title={t('system.services')}>
              <Sheet
                label={t('system.services')}
                empty=""
                minWidth={360}
                heads={[t('system.service'), t('column.status'), t('system.latency'), t('monitoring.why')]}
                rows={Object.entries(services)
                  // Another name for the api.
                  .filter(([name]) => name !== 'flask')
                  .map(([name, word]) => ({
                  key: name,
                  cells: [
                    t(`service.${name}`, { defaultValue: name }),
                    <Status key="s" kind="word" value={word} />,
                    latency_ms[name] === undefined ? '–' : format.duration(latency_ms[name]),
                    reasons[name] ?? '–',
                  ],
                }))}
              />
            </Card>
          </div>
          <Card title={t('system.processes')}>
            <Processes list={[...apis, ...workers]} />
          </Card>
        </Stack>
      )}
    </QueryView>
  );
}

function Processes({ list }: { list: readonly Schemas['ProcessView'][] }) {
  const { t } = useTranslation();
  const format = useFormat();
  return (
    <Sheet
      label={t('system.processes')}
      empty={t('system.noProcesses')}
      minWidth={680}
      heads={[t('column.name'), t('system.host'), 'PID', t('system.version'), t('system.started'), t('system.heartbeat'), t('column.status')]}
      rows={list.map((process) => ({
        key: process.name,
        cells: [
          <span key="n" className="mono">{process.name}</span>,
          process.host,
          process.pid,
          process.version,
          format.moment(process.started_at),
          <Ago key="h" at={process.last_heartbeat} />,
          <Pill key="s" tone={process.alive ? 'good' : 'bad'}>{t(process.alive ? 'system.alive' : 'system.silent')}</Pill>,
        ],
      }))}
    />
  );
}
