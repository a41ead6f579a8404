/** How many servers there are in each state, as the service counts them. */
import { useQueries } from '@tanstack/react-query';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { STATES } from '../servers/query';

export function useCounts(enabled = true) {
  return useQueries({
    queries: STATES.map((status) => ({
      queryKey: keys.serverCount(status),
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        ask(api.GET('/api/servers', { params: { query: { status, limit: 1 } }, signal })).then((page) => page.total),
      enabled,
    })),
    combine: (results) => ({
      error: results.find((one) => one.isError && one.data === undefined)?.error ?? null,
      whole: results.every((one) => one.data !== undefined),
      counts: STATES.map((status, n) => ({ status, count: results[n]?.data ?? 0 })),
    }),
  });
}
