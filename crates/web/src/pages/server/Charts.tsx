/** What a server uses, over a range of time. */
import { Group, SegmentedControl, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { Card } from '../../ui/Page';
import { Loading, QueryView } from '../../ui/states';

const Chart = lazy(() => import('../../ui/Chart').then((module) => ({ default: module.Chart })));

/** Seconds from one point to the next, by range in seconds. */
const RANGES = {
  '1h': [3600, 60],
  '6h': [6 * 3600, 60],
  '24h': [86_400, 300],
  '7d': [7 * 86_400, 1800],
  '30d': [30 * 86_400, 7200],
} as const;
type Range = keyof typeof RANGES;

function isHistory(told: Schemas['LatestOrPast']): told is Schemas['MetricsHistory'] {
  return 'points' in told;
}

export function Charts({ id }: { id: number }) {
  const { t } = useTranslation();
  const [params, setParams] = useSearchParams();
  const asked = params.get('range') ?? '1h';
  const range: Range = asked in RANGES ? (asked as Range) : '1h';
  const [span, step] = RANGES[range];
  const query = useQuery({
    queryKey: [...keys.metrics(id), range],
    queryFn: ({ signal }) => {
      const from = new Date(Date.now() - span * 1000).toISOString();
      return ask(
        api.GET('/api/monitoring/metrics/{server_id}', {
          params: { path: { server_id: id }, query: { from, step } },
          signal,
        }),
      );
    },
    refetchInterval: range === '1h' ? 15_000 : 60_000,
  });
  return (
    <Card
      title={t('server.usage')}
      actions={
        <SegmentedControl
          size="xs"
          aria-label={t('server.range')}
          data={Object.keys(RANGES)}
          value={range}
          onChange={(value) =>
            setParams(
              (old) => {
                old.set('range', value);
                return old;
              },
              { replace: true },
            )
          }
        />
      }
    >
      <Latest id={id} />
      <QueryView query={query} rows={8}>
        {(told) => (isHistory(told) ? <History told={told} /> : null)}
      </QueryView>
    </Card>
  );
}

function Latest({ id }: { id: number }) {
  const { t } = useTranslation();
  const format = useFormat();
  const query = useQuery({
    queryKey: [...keys.metrics(id), 'latest'],
    queryFn: ({ signal }) =>
      ask(api.GET('/api/monitoring/metrics/{server_id}', { params: { path: { server_id: id } }, signal })),
    refetchInterval: 15_000,
  });
  if (!query.data || !('metrics' in query.data)) return null;
  const { metrics } = query.data;
  const figures = [
    ['cpu_usage', format.percent],
    ['memory_usage', format.percent],
    ['disk_usage', format.percent],
    ['network_in', format.rate],
    ['network_out', format.rate],
  ] as const;
  return (
    <Group gap="lg" mb="sm" align="flex-start">
      {figures.map(([name, show]) => {
        const value = metrics[name];
        const reason = metrics.reasons[name] ?? metrics.reason;
        return (
          <div key={name} style={{ maxWidth: 190 }}>
            <Text size="xs" c="dimmed">
              {t(`metric.${name}`)}
            </Text>
            {value === null ? (
              <Text size="xs">{t('metric.none', { reason: t(`reason.${reason ?? 'no_sample'}`) })}</Text>
            ) : (
              <Text fw={600} className="num">
                {show(value)}
              </Text>
            )}
          </div>
        );
      })}
      <div>
        <Text size="xs" c="dimmed">
          {t('metric.source')}
        </Text>
        <Text size="xs">
          {metrics.source ? t(`source.${metrics.source}`) : '–'}
          {metrics.timestamp ? ` · ${format.clock(metrics.timestamp)}` : ''}
        </Text>
      </div>
    </Group>
  );
}

function History({ told }: { told: Schemas['MetricsHistory'] }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { points } = told;
  const { times, charts } = useMemo(() => {
    const values = (name: Exclude<keyof Schemas['MetricPoint'], 'timestamp'>) => ({
      label: t(`metric.${name}`),
      values: points.map((point) => point[name]),
    });
    return {
      times: points.map((point) => new Date(point.timestamp).getTime() / 1000),
      charts: [
        { id: 'cpu_usage', series: [values('cpu_usage')], percent: true },
        { id: 'memory_usage', series: [values('memory_usage')], percent: true },
        { id: 'disk_usage', series: [values('disk_usage')], percent: true },
        { id: 'network', series: [values('network_in'), values('network_out')], percent: false },
      ],
    };
  }, [points, t]);
  if (points.length === 0) {
    return <Text size="sm">{t('metric.noHistory', { reason: t(`reason.${told.reason ?? 'no_sample'}`) })}</Text>;
  }
  return (
    <Suspense fallback={<Loading rows={8} />}>
      <div className="grid2">
        {charts.map(({ id, series, percent }) => {
          const nothing = series.every((one) => one.values.every((value) => value === null));
          return (
            <div key={id}>
              <Text size="sm" fw={600}>
                {t(`metric.${id}`)}
              </Text>
              {nothing ? (
                <Text size="sm" c="dimmed" py="lg">
                  {t(id === 'disk_usage' ? 'metric.diskUnknown' : 'metric.nothing')}
                </Text>
              ) : (
                <Chart
                  label={t(`metric.${id}`)}
                  times={times}
                  series={series}
                  show={percent ? format.percent : format.rate}
                  {...(percent ? { max: 100 } : {})}
                />
              )}
            </div>
          );
        })}
      </div>
    </Suspense>
  );
}
