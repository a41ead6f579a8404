/** What people did to this server. */
import { useQuery } from '@tanstack/react-query';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { QueryView } from '../../ui/states';
import { AuditRows } from '../audit/AuditRows';

export function ServerAudit({ id }: { id: number }) {
  const query = useQuery({
    queryKey: [...keys.audit, 'server', id],
    queryFn: ({ signal }) =>
      ask(api.GET('/api/audit', { params: { query: { target_kind: 'server', target: String(id), limit: 100 } }, signal })),
  });
  return <QueryView query={query}>{(page) => (typeof page === 'object' ? <AuditRows rows={page.audit} /> : null)}</QueryView>;
}
