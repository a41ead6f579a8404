/** Names of servers that are known by number. */
import { useQueries } from '@tanstack/react-query';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';

/** So many are asked for; others, and those that are gone, go by their number. */
const MOST = 50;

export function useServerNames(ids: readonly number[]): Map<number, string> {
  return useQueries({
    queries: ids.slice(0, MOST).map((server_id) => ({
      queryKey: keys.server(server_id),
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        ask(api.GET('/api/servers/{server_id}', { params: { path: { server_id } }, signal })),
    })),
    combine: (found) => new Map(found.flatMap(({ data }) => (data ? [[data.id, data.name] as const] : []))),
  });
}
