/** What stands in for content that is not there: loading, empty, forbidden, gone, failed. */
import { Alert, Button, Code, Skeleton, Stack, Text } from '@mantine/core';
import { IconAlertTriangle, IconInbox, IconLock, IconPlugConnectedX } from '@tabler/icons-react';
import type { UseQueryResult } from '@tanstack/react-query';
import { type ReactNode, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { isFault } from '../api/fault';

const PATIENCE_MS = 2000;

/** Grey lines; after two seconds it says what it is waiting for, and how long. */
export function Loading({ rows = 5 }: { rows?: number }) {
  const { t } = useTranslation();
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const begun = Date.now();
    const timer = setInterval(() => setSeconds(Math.floor((Date.now() - begun) / 1000)), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <Stack gap="xs" role="status" aria-label={t('state.loading')}>
      {Array.from({ length: rows }, (_, n) => (
        <Skeleton key={n} height={18} width={`${92 - ((n * 17) % 40)}%`} animate={false} />
      ))}
      {seconds * 1000 >= PATIENCE_MS ? <Text size="sm">{t('state.loadingFor', { seconds })}</Text> : null}
    </Stack>
  );
}

export function Empty({ text, children }: { text: string; children?: ReactNode }) {
  return (
    <Stack align="center" gap="xs" py="lg">
      <IconInbox size={28} stroke={1.4} aria-hidden />
      <Text size="sm">{text}</Text>
      {children}
    </Stack>
  );
}

/** Why something could not be shown or done: what the service said, its code, and what can be done about it. */
export function FaultAlert({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useTranslation();
  const fault = isFault(error) ? error : null;
  const forbidden = fault?.status === 403;
  const offline = fault?.code === 'OFFLINE';
  const missing = fault?.status === 404;
  const title = forbidden
    ? t('state.forbidden')
    : offline
      ? t('state.offline')
      : missing
        ? t('state.notFound')
        : t('state.failed');
  const icon = forbidden ? <IconLock /> : offline ? <IconPlugConnectedX /> : <IconAlertTriangle />;
  const text = offline
    ? t('state.offlineText')
    : forbidden
      ? t('state.forbiddenText')
      : (fault?.message ?? String(error));
  return (
    <Alert color={forbidden || offline || missing ? 'gray' : 'red'} icon={icon} title={title} variant="outline">
      <Stack gap="xs" align="flex-start">
        <Text size="sm">{text}</Text>
        {fault ? <FaultDetails details={fault.details} /> : null}
        {fault && !offline ? (
          <Text size="xs" c="dimmed">
            <Code>{fault.code}</Code>
            {fault.details.reference ? ` · ${t('state.reference')} ${fault.details.reference}` : ''}
          </Text>
        ) : null}
        {retry ? (
          <Button size="xs" variant="default" onClick={retry}>
            {t('action.retry')}
          </Button>
        ) : null}
      </Stack>
    </Alert>
  );
}

type Details = { nodes?: { node: string; reason: string; missing: number | null }[]; bounds?: Bound[] };
type Bound = { resource: string; limit: number; used: number; requested: number };

function FaultDetails({ details }: { details: Details }) {
  const { t } = useTranslation();
  const nodes = details.nodes ?? [];
  const bounds = details.bounds ?? [];
  if (nodes.length + bounds.length === 0) return null;
  return (
    <ul style={{ margin: 0, paddingInlineStart: 18, fontSize: '0.8125rem' }}>
      {nodes.map((one) => (
        <li key={one.node}>
          {one.node}: {t(`unfit.${one.reason}`)}
          {one.missing === null ? '' : ` (${t('unfit.missing', { count: one.missing })})`}
        </li>
      ))}
      {bounds.map((one) => (
        <li key={one.resource}>{t('unfit.bound', { ...one, resource: t(`resource.${one.resource}`) })}</li>
      ))}
    </ul>
  );
}

/** A query's content, or what stands in for it. What was once shown stays while it is asked for again. */
export function QueryView<T>({
  query,
  children,
  rows,
}: {
  query: UseQueryResult<T>;
  children: (data: T) => ReactNode;
  rows?: number;
}) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.isError) return <FaultAlert error={query.error} retry={() => void query.refetch()} />;
  return <Loading {...(rows === undefined ? {} : { rows })} />;
}
