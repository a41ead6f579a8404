/** Who did what. */
import { Button, Group, Select, Text, TextInput } from '@mantine/core';
import { keepPreviousData, useMutation, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { SEARCH } from '../../shell/shortcuts';
import { Card, Page } from '../../ui/Page';
import { Pager, usePage } from '../../ui/Pager';
import { FaultAlert, QueryView } from '../../ui/states';
import { Pill } from '../../ui/Status';
import { AuditRows } from './AuditRows';

const SIZE = 50;
const FILTERS = ['action', 'target_kind', 'target'] as const;

export default function AuditPage() {
  const { t } = useTranslation();
  const format = useFormat();
  const [params, setParams] = useSearchParams();
  const place = usePage(SIZE);
  const filter: Record<string, string> = {};
  for (const name of [...FILTERS, 'result']) {
    const value = params.get(name);
    if (value) filter[name] = value;
  }
  const query = useQuery({
    queryKey: [...keys.audit, filter, place.page],
    queryFn: ({ signal }) =>
      ask(api.GET('/api/audit', { params: { query: { ...filter, limit: SIZE, offset: place.offset } }, signal })),
    placeholderData: keepPreviousData,
  });
  const verify = useMutation({ mutationFn: () => ask(api.GET('/api/audit/verify')) });
  const set = (name: string, value: string | null): void =>
    setParams(
      (old) => {
        old.delete('page');
        if (value) old.set(name, value);
        else old.delete(name);
        return old;
      },
      { replace: true },
    );
  const asLines = `/api/audit?${new URLSearchParams({ ...filter, format: 'jsonl' }).toString()}`;
  return (
    <Page
      title={t('nav.audit')}
      actions={
        <>
          <Button size="compact-sm" variant="default" component="a" href={asLines} download="audit.jsonl">
            {t('audit.export')}
          </Button>
          <Button size="compact-sm" variant="default" loading={verify.isPending} onClick={() => verify.mutate()}>
            {t('audit.verify')}
          </Button>
        </>
      }
    >
      {verify.isError ? <FaultAlert error={verify.error} /> : null}
      {verify.data ? (
        <Text size="sm" component="div" role="status">
          <Pill tone={verify.data.valid ? 'good' : 'bad'}>
            {verify.data.valid
              ? t('audit.whole', { count: verify.data.rows, number: format.number(verify.data.rows) })
              : t('audit.broken', { at: verify.data.broken_at ?? '?' })}
          </Pill>
        </Text>
      ) : null}
      <Group gap="xs">
        {FILTERS.map((name, n) => (
          <TextInput
            key={name}
            size="xs"
            w={190}
            aria-label={t(`audit.${name}`)}
            placeholder={t(`audit.${name}`)}
            defaultValue={filter[name] ?? ''}
            onBlur={(event) => set(name, event.currentTarget.value.trim())}
            onKeyDown={(event) => {
              if (event.key === 'Enter') set(name, event.currentTarget.value.trim());
            }}
            {...(n === 0 ? SEARCH : {})}
          />
        ))}
        <Select
          size="xs"
          w={120}
          clearable
          aria-label={t('audit.result')}
          placeholder={t('audit.result')}
          data={['done', 'refused'].map((value) => ({ value, label: t(`status.word.${value}`) }))}
          value={filter['result'] ?? null}
          onChange={(value) => set('result', value)}
        />
      </Group>
      <Card>
        <QueryView query={query} rows={10}>
          {(page) =>
            typeof page === 'object' ? (
              <>
                <AuditRows rows={page.audit} />
                <Pager total={page.total} size={SIZE} page={place.page} go={place.go} />
              </>
            ) : null
          }
        </QueryView>
      </Card>
    </Page>
  );
}
