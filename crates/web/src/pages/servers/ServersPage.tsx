/** All servers. */
import { Button, Group, Stack, Text } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useCallback, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { useCan } from '../../session/context';
import { FaultAlert } from '../../ui/states';
import { Page } from '../../ui/Page';
import { BulkActions } from './BulkActions';
import { chosen, type ListedServer } from './columns';
import { csv, save } from './export';
import { Filters } from './Filters';
import { asked, useServerFilter } from './query';
import { allServers, PART } from './rows';
import { ServerTable } from './ServerTable';

export default function ServersPage() {
  const { t } = useTranslation();
  const format = useFormat();
  const writes = useCan('servers:write');
  const filtering = useServerFilter();
  const { filter, change, columns } = filtering;
  const [selected, setSelected] = useState<ReadonlyMap<number, string>>(new Map());
  const select = useCallback((server: ListedServer, on: boolean) => {
    setSelected((old) => {
      const next = new Map(old);
      if (on) next.set(server.id, server.name);
      else next.delete(server.id);
      return next;
    });
  }, []);
  const shown = useMemo(() => chosen(columns), [columns]);
  const total = useQuery({
    queryKey: keys.serverPage(filter, 0),
    queryFn: ({ signal }) =>
      ask(api.GET('/api/servers', { params: { query: { ...asked(filter), limit: PART, offset: 0 } }, signal })),
    select: (page) => page.total,
  });
  const everything = useMutation({
    mutationFn: (what: 'select' | 'export') => allServers(filter).then((servers) => ({ what, servers })),
    onSuccess: ({ what, servers }) => {
      if (what === 'export') save('servers.csv', 'text/csv;charset=utf-8', csv(servers));
      else setSelected(new Map(servers.map((server) => [server.id, server.name])));
    },
  });
  return (
    <Page
      title={t('nav.servers')}
      actions={
        <>
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<IconDownload size={14} />}
            loading={everything.isPending && everything.variables === 'export'}
            onClick={() => everything.mutate('export')}
          >
            {t('servers.export')}
          </Button>
          {writes ? (
            <Button size="compact-sm" variant="default" component={Link} to="/servers/import">
              {t('nav.import')}
            </Button>
          ) : null}
        </>
      }
    >
      <Stack gap="xs">
        <Filters {...filtering} />
        <Group gap="sm" mih={28}>
          {selected.size > 0 ? (
            <BulkActions selected={selected} onClear={() => setSelected(new Map())} />
          ) : (
            <Text size="sm" c="dimmed" role="status">
              {total.data === undefined ? '' : t('list.total', { count: total.data, number: format.number(total.data) })}
            </Text>
          )}
          {writes && total.data ? (
            <Button
              size="compact-sm"
              variant="subtle"
              loading={everything.isPending && everything.variables === 'select'}
              onClick={() => everything.mutate('select')}
            >
              {t('servers.selectAll', { number: format.number(total.data) })}
            </Button>
          ) : null}
        </Group>
        {everything.isError ? <FaultAlert error={everything.error} /> : null}
        <ServerTable
          filter={filter}
          columns={shown}
          selected={selected}
          onSelect={select}
          selectable={writes}
          onSort={(sort, order) => change({ sort, order })}
        />
      </Stack>
    </Page>
  );
}
