/** What a server is: size, place, network, end. */
import { Badge, Group } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import type { Schemas } from '../../api/client';
import { useFormat } from '../../i18n/format';
import { Ago } from '../../ui/Ago';
import { Facts } from '../../ui/Page';

export function nicText(nic: Schemas['Nic']): string {
  const address = nic.dhcp ? 'DHCP' : nic.ip_address ? `${nic.ip_address}/${nic.subnet ?? '?'}` : '–';
  const parts = [nic.bridge, nic.gateway ? `${address} → ${nic.gateway}` : address];
  if (nic.vlan !== null) parts.push(`VLAN ${nic.vlan}`);
  return parts.join(' · ');
}

export function Configuration({ server }: { server: Schemas['Server'] }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { placement } = server;
  return (
    <Facts
      rows={[
        [t('column.role'), server.role],
        [t('column.project'), <Link key="p" to={`/servers?project=${server.project}`}>{server.project}</Link>],
        [t('column.cpu'), t('unit.cores', { count: server.cpu })],
        [t('column.memory'), format.memory(server.memory)],
        [t('column.disk'), format.disk(server.disk_size)],
        ...server.network_config.map((nic, n): [string, string] => [`net${n}`, nicText(nic)]),
        [t('column.node'), server.node],
        [t('column.vmid'), server.vmid],
        [t('column.engine'), `${server.engine}${server.imported ? ` · ${t('server.imported')}` : ''}`],
        [
          t('column.tags'),
          server.tags && server.tags.length > 0 ? (
            <Group gap={4} key="tags">
              {server.tags.map((tag) => (
                <Badge key={tag} variant="default" tt="none" fw={400}>
                  {tag}
                </Badge>
              ))}
            </Group>
          ) : null,
        ],
        [t('field.description'), server.description],
        [
          t('column.expires'),
          server.expires_at ? (
            <span key="e">
              {format.moment(server.expires_at)}
              {server.on_expiry ? ` · ${t(`expiry.${server.on_expiry}`)}` : ''}
            </span>
          ) : null,
        ],
        [t('column.created'), format.moment(server.created_at)],
        [t('column.updated'), <Ago key="u" at={server.updated_at} />],
        ...(placement
          ? ([
              [t('create.why'), placement.reason],
              [t('create.template'), `${placement.template} → ${placement.storage}`],
            ] as const)
          : []),
      ]}
    />
  );
}
