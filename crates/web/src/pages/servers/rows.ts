/** Rows of a long list, read in parts: the parts that are looked at, and no others. */
import { keepPreviousData, useQueries, useQuery } from '@tanstack/react-query';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { ListedServer } from './columns';
import { asked, type ServerFilter } from './query';

export const PART = 100;
const MOST = 500;

function part(filter: ServerFilter, page: number) {
  return {
    queryKey: keys.serverPage(filter, page),
    queryFn: ({ signal }: { signal: AbortSignal }) =>
      ask(api.GET('/api/servers', { params: { query: { ...asked(filter), limit: PART, offset: page * PART } }, signal })),
  };
}

export function useServerRows(filter: ServerFilter, first: number, last: number) {
  const head = useQuery({ ...part(filter, 0), placeholderData: keepPreviousData });
  const from = Math.max(1, Math.floor(first / PART));
  const to = Math.floor(Math.max(first, last) / PART);
  const pages = Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => from + n);
  const rest = useQueries({ queries: pages.map((page) => part(filter, page)) });
  const row = (index: number): ListedServer | undefined => {
    const page = Math.floor(index / PART);
    const data = page === 0 ? head.data : rest[page - from]?.data;
    return data?.servers[index % PART];
  };
  return { head, row, total: head.data?.total ?? 0 };
}

/** All servers that a filter finds, for an export or a selection. */
export async function allServers(filter: ServerFilter): Promise<ListedServer[]> {
  const found = new Map<number, ListedServer>();
  for (let offset = 0; ; offset += MOST) {
    // By id: whatever changes meanwhile moves no row from one part to another.
    const query = { ...asked({ ...filter, sort: 'id', order: 'asc' }), limit: MOST, offset };
    const page = await ask(api.GET('/api/servers', { params: { query } }));
    for (const server of page.servers) found.set(server.id, server);
    if (page.servers.length < MOST) return [...found.values()];
  }
}
