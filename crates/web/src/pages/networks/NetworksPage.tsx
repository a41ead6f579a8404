/** The networks whose addresses are handed out. */
import { Anchor, Button, Group } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { useCan } from '../../session/context';
import { Confirm } from '../../ui/Confirm';
import { Card, Page } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';
import { NetworkForm } from './NetworkForm';

type Network = Schemas['NetworkInList'];

export default function NetworksPage() {
  const { t } = useTranslation();
  const format = useFormat();
  const cache = useQueryClient();
  const writes = useCan('networks:write');
  const [form, setForm] = useState<Network | 'new' | null>(null);
  const [going, setGoing] = useState<Network | null>(null);
  const query = useQuery({ queryKey: keys.networks, queryFn: ({ signal }) => ask(api.GET('/api/networks', { signal })) });
  const remove = useMutation({
    mutationFn: (network: Network) =>
      ask(api.DELETE('/api/networks/{network_id}', { params: { path: { network_id: network.id } } })),
    onSuccess: (answer) => {
      setGoing(null);
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.networks });
    },
  });
  return (
    <Page
      title={t('nav.networks')}
      actions={
        writes ? (
          <Button size="compact-sm" onClick={() => setForm('new')}>
            {t('network.new')}
          </Button>
        ) : null
      }
    >
      <Card>
        <QueryView query={query}>
          {({ networks }) => (
            <Sheet
              label={t('nav.networks')}
              empty={t('network.none')}
              minWidth={820}
              heads={[
                t('column.name'), t('network.range'), t('network.gateway'), t('network.bridge'), t('network.held'),
                t('network.foreign'), t('network.free'), ...(writes ? [t('list.actions')] : []),
              ]}
              rows={networks.map((network) => ({
                key: network.id,
                cells: [
                  <Anchor key="n" component={Link} size="sm" to={`/networks/${network.id}`}>
                    {network.name}
                  </Anchor>,
                  <span key="r" className="mono">{`${network.range} /${network.prefix}`}</span>,
                  network.gateway ?? '–',
                  `${network.bridge}${network.vlan === null ? '' : ` · VLAN ${network.vlan}`}`,
                  format.number(network.held),
                  format.number(network.foreign),
                  `${format.number(network.free)} / ${format.number(network.size)}`,
                  ...(writes
                    ? [
                        <Group key="a" gap={6} wrap="nowrap">
                          <Button size="compact-xs" variant="default" onClick={() => setForm(network)}>
                            {t('action.edit')}
                          </Button>
                          <Button
                            size="compact-xs"
                            variant="default"
                            c="var(--tpm-bad)"
                            onClick={() => {
                              remove.reset();
                              setGoing(network);
                            }}
                          >
                            {t('action.delete')}
                          </Button>
                        </Group>,
                      ]
                    : []),
                ],
              }))}
            />
          )}
        </QueryView>
      </Card>
      {form ? <NetworkForm network={form === 'new' ? null : form} onClose={() => setForm(null)} /> : null}
      <Confirm
        opened={going !== null}
        onClose={() => setGoing(null)}
        title={t('network.deleteOf', { name: going?.name ?? '' })}
        text={t('network.deleteText')}
        word={going?.name ?? ''}
        action={t('action.delete')}
        pending={remove.isPending}
        error={remove.error}
        onConfirm={() => going && remove.mutate(going)}
      />
    </Page>
  );
}
