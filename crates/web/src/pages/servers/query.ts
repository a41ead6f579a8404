/** What of the servers is shown: all of it stands in the URL. */
import { useMemo } from 'react';
import { useSearchParams } from 'react-router';
import type { paths } from '../../api/schema';

type Query = NonNullable<paths['/api/servers']['get']['parameters']['query']>;
export type Sort = 'id' | 'name' | 'status' | 'role' | 'created_at' | 'updated_at';

export const SORTS: readonly Sort[] = ['id', 'name', 'status', 'role', 'created_at', 'updated_at'];
export const STATES = [
  'running', 'stopped', 'creating', 'restarting', 'deleting', 'error', 'missing', 'unknown', 'identity_conflict',
] as const;

export interface ServerFilter {
  name: string;
  status: string;
  role: string;
  project: string;
  sort: Sort;
  order: 'asc' | 'desc';
}

export function readFilter(params: URLSearchParams): ServerFilter {
  const sort = SORTS.find((one) => one === params.get('sort')) ?? 'id';
  return {
    name: params.get('q') ?? '',
    status: STATES.find((one) => one === params.get('status')) ?? '',
    role: params.get('role') ?? '',
    project: params.get('project') ?? '',
    sort,
    order: params.get('order') === 'desc' ? 'desc' : 'asc',
  };
}

/** As the service takes it. What is not asked for is left away. */
export function asked(filter: ServerFilter): Query {
  const { name, status, role, project, sort, order } = filter;
  const query: Record<string, string> = { sort, order };
  for (const [key, value] of Object.entries({ name, status, role, project })) if (value) query[key] = value;
  return query;
}

export function useServerFilter() {
  const [params, setParams] = useSearchParams();
  const text = params.toString();
  const filter = useMemo(() => readFilter(new URLSearchParams(text)), [text]);
  const change = (part: Partial<Record<'q' | 'status' | 'role' | 'project' | 'sort' | 'order' | 'cols', string | null>>): void =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        for (const [key, value] of Object.entries(part)) {
          if (value) next.set(key, value);
          else next.delete(key);
        }
        return next;
      },
      { replace: true },
    );
  return { filter, change, columns: params.get('cols') };
}
