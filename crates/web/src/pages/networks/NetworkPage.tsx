/** One network: who has which address. */
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link, useParams } from 'react-router';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { Card, Facts, Page } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';

export default function NetworkPage() {
  const { t } = useTranslation();
  const id = Number(useParams()['id']);
  const query = useQuery({
    queryKey: [...keys.networks, id],
    queryFn: ({ signal }) =>
      ask(api.GET('/api/networks/{network_id}', { params: { path: { network_id: id } }, signal })),
  });
  return (
    <QueryView query={query}>
      {(network) => (
        <Page title={network.name}>
          <div className="grid2">
            <Card title={t('server.configuration')}>
              <Facts
                rows={[
                  [t('network.range'), `${network.range} /${network.prefix}`],
                  [t('network.gateway'), network.gateway],
                  [t('network.bridge'), `${network.bridge}${network.vlan === null ? '' : ` · VLAN ${network.vlan}`}`],
                  [t('network.dns'), network.dns.join(', ') || null],
                  [t('network.exclusions'), network.exclusions.join(', ') || null],
                  [t('network.free'), `${network.free} / ${network.size}`],
                ]}
              />
            </Card>
            <Card title={t('network.addresses')}>
              <Sheet
                label={t('network.addresses')}
                empty={t('network.noAddresses')}
                minWidth={320}
                heads={[t('column.ip'), t('network.holder')]}
                rows={network.addresses.map((held) => ({
                  key: held.ip_address,
                  cells: [
                    <span key="a" className="mono">{held.ip_address}</span>,
                    'server_id' in held ? (
                      <Link key="h" to={`/servers/${held.server_id}`}>{held.server_name}</Link>
                    ) : (
                      t('network.foreignHolder', { name: held.name, vmid: held.vmid })
                    ),
                  ],
                }))}
              />
            </Card>
          </div>
        </Page>
      )}
    </QueryView>
  );
}
