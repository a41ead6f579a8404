/** How much of the cluster is promised. */
import { Anchor, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { Ago } from '../../ui/Ago';
import { Card } from '../../ui/Page';
import { QueryView } from '../../ui/states';
import { Bar } from '../nodes/Bar';

export function Capacity() {
  const { t } = useTranslation();
  const format = useFormat();
  const query = useQuery({
    queryKey: keys.nodes,
    queryFn: ({ signal }) => ask(api.GET('/api/nodes', { signal })),
    refetchInterval: 15_000,
  });
  return (
    <Card
      title={t('overview.capacity')}
      actions={
        <Anchor component={Link} to="/nodes" size="sm">
          {t('nav.nodes')}
        </Anchor>
      }
    >
      <QueryView query={query}>
        {({ nodes, seen_at }) => {
          const online = nodes.filter((node) => node.status === 'online');
          const sum = (pick: (node: (typeof nodes)[number]) => number): number =>
            online.reduce((all, node) => all + pick(node), 0);
          const memory = sum((node) => node.memory);
          const cpu = sum((node) => node.cpu);
          return (
            <Stack gap="sm">
              <Text size="sm">{t('overview.nodes', { online: online.length, total: nodes.length })}</Text>
              <div>
                <Text size="sm">{t('column.memory')}</Text>
                <Bar
                  total={memory}
                  parts={[
                    { label: t('node.ours'), value: sum((node) => node.reserved_memory), color: 'blue.8' },
                    { label: t('node.foreign'), value: sum((node) => node.foreign_memory), color: 'gray.6' },
                  ]}
                  text={t('node.of', {
                    ours: format.memory(sum((node) => node.reserved_memory)),
                    foreign: format.memory(sum((node) => node.foreign_memory)),
                    total: format.memory(memory),
                  })}
                />
              </div>
              <div>
                <Text size="sm">{t('column.cpu')}</Text>
                <Bar
                  total={cpu}
                  parts={[
                    { label: t('node.ours'), value: sum((node) => node.reserved_cpu), color: 'blue.8' },
                    { label: t('node.foreign'), value: sum((node) => node.foreign_cpu), color: 'gray.6' },
                  ]}
                  text={t('node.of', {
                    ours: format.number(sum((node) => node.reserved_cpu)),
                    foreign: format.number(sum((node) => node.foreign_cpu)),
                    total: format.number(cpu),
                  })}
                />
              </div>
              <Text size="xs" c="dimmed">
                {t('node.seen')} <Ago at={seen_at} />
              </Text>
            </Stack>
          );
        }}
      </QueryView>
    </Card>
  );
}
