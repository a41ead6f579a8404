/** The columns of the table of servers. */
import { IconArrowsDiff } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import type { Schemas } from '../../api/client';
import type { Format } from '../../i18n/format';
import { Ago } from '../../ui/Ago';
import { Status } from '../../ui/Status';
import type { Sort } from './query';

export type ListedServer = Schemas['ServerInList'];

export interface Column {
  id: string;
  sort?: Sort;
  /** The least width in pixels, and its share of what is left. */
  width: number;
  grow?: number;
  cell: (server: ListedServer, format: Format) => ReactNode;
  /** For the export. */
  text: (server: ListedServer) => string | number;
}

export const COLUMNS: readonly Column[] = [
  {
    id: 'name',
    sort: 'name',
    width: 160, grow: 2,
    cell: (server) => (
      <Link className="vt-name" to={`/servers/${server.id}`}>
        {server.name}
      </Link>
    ),
    text: (server) => server.name,
  },
  {
    id: 'status',
    sort: 'status',
    width: 120, grow: 1,
    cell: (server) => (
      <>
        <Status kind="server" value={server.status} />
        {server.drift.length > 0 ? (
          <IconArrowsDiff size={15} style={{ marginInlineStart: 6 }} aria-label={server.drift.join(', ')} />
        ) : null}
      </>
    ),
    text: (server) => server.status,
  },
  { id: 'ip', width: 120, grow: 1, cell: (server) => server.ip_address ?? '–', text: (s) => s.ip_address ?? '' },
  { id: 'role', sort: 'role', width: 80, cell: (server) => server.role, text: (s) => s.role },
  { id: 'cpu', width: 64, cell: (server) => server.cpu, text: (s) => s.cpu },
  { id: 'memory', width: 90, cell: (server, format) => format.memory(server.memory), text: (s) => s.memory },
  { id: 'disk', width: 90, cell: (server, format) => format.disk(server.disk_size), text: (s) => s.disk_size },
  { id: 'node', width: 90, cell: (server) => server.node ?? '–', text: (s) => s.node ?? '' },
  { id: 'vmid', width: 80, cell: (server) => server.vmid, text: (s) => s.vmid },
  { id: 'project', width: 110, cell: (server) => server.project, text: (s) => s.project },
  { id: 'engine', width: 100, cell: (server) => server.engine, text: (s) => s.engine },
  { id: 'id', sort: 'id', width: 70, cell: (server) => server.id, text: (s) => s.id },
  { id: 'tags', width: 100, grow: 1, cell: (s) => (s.tags ?? []).join(', '), text: (s) => (s.tags ?? []).join(' ') },
  { id: 'expires', width: 116, cell: (server) => <Ago at={server.expires_at} />, text: (s) => s.expires_at ?? '' },
  { id: 'created', sort: 'created_at', width: 116, cell: (s) => <Ago at={s.created_at} />, text: (s) => s.created_at },
  { id: 'updated', sort: 'updated_at', width: 116, cell: (s) => <Ago at={s.updated_at} />, text: (s) => s.updated_at },
];

const USUAL = ['name', 'status', 'ip', 'role', 'cpu', 'memory', 'disk', 'node', 'updated'];

/** The chosen columns, in the order of the table; the name is always there. */
export function chosen(text: string | null): Column[] {
  const wanted = text ? text.split(',') : USUAL;
  return COLUMNS.filter((column) => column.id === 'name' || wanted.includes(column.id));
}
