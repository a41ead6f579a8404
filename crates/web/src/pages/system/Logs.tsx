/** What all processes logged. */
import { Group, Select, Stack, Switch, TextInput } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { SEARCH } from '../../shell/shortcuts';
import { Card } from '../../ui/Page';
import { Pager, usePage } from '../../ui/Pager';
import { QueryView } from '../../ui/states';

const LEVELS: readonly Schemas['LogLevelWord'][] = ['trace', 'debug', 'info', 'warning', 'error'];
const SIZE = 100;

export function Logs() {
  const { t } = useTranslation();
  const format = useFormat();
  const [params, setParams] = useSearchParams();
  const [follow, setFollow] = useState(true);
  const place = usePage(SIZE);
  const level = LEVELS.find((one) => one === params.get('level'));
  const text = params.get('text') ?? '';
  const query = useQuery({
    queryKey: [...keys.logs, level, text, place.page],
    queryFn: ({ signal }) =>
      ask(
        api.GET('/api/system/logs', {
          params: { query: { limit: SIZE, offset: place.offset, ...(level ? { level } : {}), ...(text ? { text } : {}) } },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
    refetchInterval: follow ? 3000 : false,
  });
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
  return (
    <Card title={t('system.logs')}>
      <Group gap="xs" mb="sm">
        <Select
          size="xs"
          clearable
          w={130}
          aria-label={t('system.level')}
          placeholder={t('system.level')}
          data={[...LEVELS]}
          value={level ?? null}
          onChange={(value) => set('level', value)}
        />
        <TextInput
          size="xs"
          type="search"
          aria-label={t('system.text')}
          placeholder={t('system.text')}
          defaultValue={text}
          onBlur={(event) => set('text', event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter') set('text', event.currentTarget.value);
          }}
          {...SEARCH}
        />
        <Switch size="xs" label={t('task.follow')} checked={follow} onChange={(event) => setFollow(event.currentTarget.checked)} />
      </Group>
      <QueryView query={query} rows={12}>
        {({ logs, total }) => (
          <Stack gap="xs">
            {/* A region that scrolls has to be reachable by keys. */}
            {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
            <pre className="log" style={{ maxHeight: '60vh' }} tabIndex={0} aria-label={t('system.logs')}>
              {logs.length === 0 ? t('system.noLogs') : logs.map((line) => row(line, format.moment(line.timestamp))).join('\n')}
            </pre>
            <Pager total={total} size={SIZE} page={place.page} go={place.go} />
          </Stack>
        )}
      </QueryView>
    </Card>
  );
}

function row(line: Schemas['LogLineView'], at: string): string {
  const fields = Object.entries(line.fields).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return [at, line.level.toUpperCase().padEnd(7), line.process, line.target, line.message, ...fields].join('  ');
}
