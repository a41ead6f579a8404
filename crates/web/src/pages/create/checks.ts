/** What can be said about a request while it is being written: names and addresses that are in use. */
import { useQueries, useQuery } from '@tanstack/react-query';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import type { Values } from './values';

export function useNetworks() {
  const may = useCan('networks:read');
  return useQuery({
    queryKey: keys.networks,
    queryFn: ({ signal }) => ask(api.GET('/api/networks', { signal })),
    enabled: may,
    refetchInterval: 30_000,
  });
}

/** The names of a request that servers already have. */
export function useTakenNames(base: string, names: readonly string[]): string[] {
  const query = useQuery({
    queryKey: ['servers', 'names', base],
    queryFn: ({ signal }) => ask(api.GET('/api/servers', { params: { query: { name: base, limit: 500 } }, signal })),
    enabled: base.length > 0,
  });
  const held = new Set((query.data?.servers ?? []).map((server) => server.name));
  return names.filter((name) => held.has(name));
}

/** Who has the address that is asked for. */
export function useAddressHolder(values: Pick<Values, 'net' | 'ip_address'>): string | null {
  const may = useCan('networks:read');
  const networks = useNetworks();
  const asked = may && values.net === 'address' && values.ip_address !== '';
  const all = useQueries({
    queries: (asked ? (networks.data?.networks ?? []) : []).map((network) => ({
      queryKey: [...keys.networks, network.id],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        ask(api.GET('/api/networks/{network_id}', { params: { path: { network_id: network.id } }, signal })),
    })),
  });
  for (const { data } of all) {
    const holder = data?.addresses.find((held) => held.ip_address === values.ip_address);
    if (holder) return 'server_name' in holder ? holder.server_name : `${holder.name} (VMID ${holder.vmid})`;
  }
  return null;
}
