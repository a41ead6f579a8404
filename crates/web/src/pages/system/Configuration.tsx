/** The settings that hold, and where each came from; the level of the log. */
import { Button, Group, Select, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import { SEARCH } from '../../shell/shortcuts';
import { Card } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { FaultAlert, QueryView } from '../../ui/states';

const LEVELS: readonly Schemas['LogLevelWord'][] = ['error', 'warning', 'info', 'debug', 'trace'];

export function Configuration() {
  const { t } = useTranslation();
  const [text, setText] = useState('');
  const query = useQuery({ queryKey: keys.config, queryFn: ({ signal }) => ask(api.GET('/api/system/config', { signal })) });
  return (
    <QueryView query={query} rows={12}>
      {({ config, log_level }) => (
        <Card title={t('system.config')}>
          <Group gap="xs" mb="sm" justify="space-between">
            <TextInput
              size="xs"
              type="search"
              aria-label={t('system.findSetting')}
              placeholder={t('system.findSetting')}
              value={text}
              onChange={(event) => setText(event.currentTarget.value)}
              {...SEARCH}
            />
            <LogLevel now={log_level} />
          </Group>
          <Sheet
            label={t('system.config')}
            empty={t('system.noSetting')}
            heads={[t('system.key'), t('system.value'), t('system.source')]}
            rows={config
              .filter((setting) => setting.key.includes(text.trim()))
              .map((setting) => ({
                key: setting.key,
                cells: [
                  <span key="k" className="mono">{setting.key}</span>,
                  <span key="v" className="mono">
                    {setting.secret ? t(`system.secret_${String(setting.value)}`) : [setting.value].flat().join(', ') || '–'}
                  </span>,
                  t(`system.source_${setting.source}`),
                ],
              }))}
          />
        </Card>
      )}
    </QueryView>
  );
}

/** `null` is what the settings say. */
function LogLevel({ now }: { now: Schemas['LogLevelWord'] | null }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const writes = useCan('system:write');
  const [wanted, setWanted] = useState<string>(now ?? '');
  const set = useMutation({
    mutationFn: (level: Schemas['LogLevelWord'] | null) => ask(api.PUT('/api/system/log-level', { body: { level } })),
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.config });
    },
  });
  if (!writes) return null;
  return (
    <Group gap="xs">
      {set.isError ? <FaultAlert error={set.error} /> : null}
      <Select
        size="xs"
        w={170}
        aria-label={t('system.logLevel')}
        allowDeselect={false}
        data={[{ value: '', label: t('system.asSet') }, ...LEVELS.map((value) => ({ value, label: value }))]}
        value={wanted}
        onChange={(value) => setWanted(value ?? '')}
      />
      <Button
        size="xs"
        variant="default"
        loading={set.isPending}
        disabled={wanted === (now ?? '')}
        onClick={() => set.mutate(LEVELS.find((one) => one === wanted) ?? null)}
      >
        {t('system.setLevel')}
      </Button>
    </Group>
  );
}
