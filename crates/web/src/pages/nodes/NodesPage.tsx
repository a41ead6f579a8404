/** The cluster's nodes, and how much room there is on them. */
import { Group, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { Ago } from '../../ui/Ago';
import { Card, Page } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { Empty, QueryView } from '../../ui/states';
import { Status } from '../../ui/Status';
import { Bar } from './Bar';

export default function NodesPage() {
  const { t } = useTranslation();
  const format = useFormat();
  const query = useQuery({
    queryKey: keys.nodes,
    queryFn: ({ signal }) => ask(api.GET('/api/nodes', { signal })),
    refetchInterval: 10_000,
  });
  return (
    <Page title={t('nav.nodes')}>
      <QueryView query={query}>
        {({ nodes, seen_at }) => (
          <>
            <Text size="sm" c="dimmed">
              {t('node.seen')} <Ago at={seen_at} />
            </Text>
            {nodes.length === 0 ? <Empty text={t('node.none')} /> : null}
            <div className="grid2">
              {nodes.map((node) => (
                <Card key={node.name} title={node.name} actions={<Status kind="word" value={node.status} />}>
                  <Stack gap="sm">
                    <Group grow align="flex-start">
                      <div>
                        <Text size="sm">{t('column.cpu')}</Text>
                        <Bar
                          total={node.cpu}
                          parts={[
                            { label: t('node.ours'), value: node.reserved_cpu, color: 'blue.8' },
                            { label: t('node.foreign'), value: node.foreign_cpu, color: 'gray.6' },
                          ]}
                          text={t('node.of', { ours: node.reserved_cpu, foreign: node.foreign_cpu, total: node.cpu })}
                        />
                      </div>
                      <div>
                        <Text size="sm">{t('column.memory')}</Text>
                        <Bar
                          total={node.memory}
                          parts={[
                            { label: t('node.ours'), value: node.reserved_memory, color: 'blue.8' },
                            { label: t('node.foreign'), value: node.foreign_memory, color: 'gray.6' },
                          ]}
                          text={t('node.of', {
                            ours: format.memory(node.reserved_memory),
                            foreign: format.memory(node.foreign_memory),
                            total: format.memory(node.memory),
                          })}
                        />
                      </div>
                    </Group>
                    <Sheet
                      label={`${node.name} ${t('node.storages')}`}
                      empty={t('node.noStorages')}
                      minWidth={420}
                      heads={[t('node.storage'), t('node.used'), t('node.reserved'), t('node.total'), t('node.kind')]}
                      rows={node.storages.map((storage) => ({
                        key: storage.name,
                        cells: [
                          storage.name,
                          format.disk(storage.used),
                          format.disk(storage.reserved),
                          format.disk(storage.total),
                          [t(storage.shared ? 'node.shared' : 'node.local'), storage.usable ? '' : t('node.unusable')]
                            .filter(Boolean)
                            .join(' · '),
                        ],
                      }))}
                    />
                  </Stack>
                </Card>
              ))}
            </div>
          </>
        )}
      </QueryView>
    </Page>
  );
}
