/** The table of servers. Only rows that are looked at are drawn and asked for. */
import { Checkbox, UnstyledButton } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useFormat } from '../../i18n/format';
import { Empty, FaultAlert, Loading } from '../../ui/states';
import { Status } from '../../ui/Status';
import { type Column, COLUMNS, type ListedServer } from './columns';
import type { ServerFilter, Sort } from './query';
import { useServerRows } from './rows';
import './table.css';

const GAP = 12;

interface Props {
  filter: ServerFilter;
  columns: Column[];
  selected: ReadonlyMap<number, string>;
  onSelect: (server: ListedServer, on: boolean) => void;
  onSort: (sort: Sort, order: 'asc' | 'desc') => void;
  selectable: boolean;
}

export function ServerTable({ filter, columns, selected, onSelect, onSort, selectable }: Props) {
  const { t } = useTranslation();
  const phone = useMediaQuery('(max-width: 47.99em)', false, { getInitialValueInEffect: false });
  const box = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState({ first: 0, last: 40 });
  const { head, row, total } = useServerRows(filter, seen.first, seen.last);
  const height = phone ? 58 : 36;
  const virtual = useVirtualizer({
    count: total,
    getScrollElement: () => box.current,
    estimateSize: () => height,
    overscan: 12,
    onChange: (instance) => {
      const items = instance.getVirtualItems();
      const first = items[0]?.index ?? 0;
      const last = items.at(-1)?.index ?? 0;
      setSeen((old) => (old.first === first && old.last === last ? old : { first, last }));
    },
  });
  if (head.isError && !head.data) return <FaultAlert error={head.error} retry={() => void head.refetch()} />;
  if (!head.data) return <Loading rows={12} />;
  if (total === 0) return <Empty text={isFiltered(filter) ? t('servers.noneFound') : t('servers.none')} />;
  const tracks = columns.map((column) => `minmax(${column.width}px, ${column.grow ?? 0.5}fr)`);
  const template = `${selectable ? '24px ' : ''}${tracks.join(' ')}`;
  const least = columns.reduce((sum, column) => sum + column.width + GAP, selectable ? 24 + GAP : 0) + GAP;
  const line = { gridTemplateColumns: template, minWidth: least };
  return (
    <div
      ref={box}
      className="vt"
      role="table"
      aria-label={t('nav.servers')}
      aria-rowcount={total + 1}
      // A region that scrolls has to be reachable by keys.
      // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
      tabIndex={0}
      data-phone={phone}
    >
      <div className="vt-head" role="rowgroup">
        <div role="row" aria-rowindex={1} className="vt-row" style={line}>
          {selectable ? <span role="columnheader">{<span className="vt-hidden">{t('servers.select')}</span>}</span> : null}
          {columns.map((column) => (
            <Head key={column.id} column={column} filter={filter} onSort={onSort} />
          ))}
        </div>
      </div>
      <div role="rowgroup" style={{ height: virtual.getTotalSize(), position: 'relative', minWidth: phone ? 0 : least }}>
        {virtual.getVirtualItems().map((item) => {
          const server = row(item.index);
          return (
            <div
              key={item.key}
              role="row"
              aria-rowindex={item.index + 2}
              className="vt-row vt-item"
              data-server={server?.name}
              data-selected={server ? selected.has(server.id) : undefined}
              style={{ ...line, height, transform: `translateY(${item.start}px)` }}
            >
              {server ? (
                <Cells server={server} {...{ columns, selected, onSelect, selectable, phone }} />
              ) : (
                <span role="cell" className="vt-wait">{t('state.loading')}</span>
              )}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function isFiltered(filter: ServerFilter): boolean {
  return Boolean(filter.name || filter.status || filter.role || filter.project);
}

function Head({ column, filter, onSort }: { column: Column; filter: ServerFilter; onSort: Props['onSort'] }) {
  const { t } = useTranslation();
  const label = t(`column.${column.id}`);
  const { sort } = column;
  if (!sort) return <span role="columnheader">{label}</span>;
  const on = filter.sort === sort;
  const up = filter.order === 'asc';
  return (
    <span role="columnheader" aria-sort={on ? (up ? 'ascending' : 'descending') : 'none'}>
      <UnstyledButton fz="inherit" fw="inherit" onClick={() => onSort(sort, on && up ? 'desc' : 'asc')}>
        {label} {on ? up ? <IconArrowUp size={12} aria-hidden /> : <IconArrowDown size={12} aria-hidden /> : null}
      </UnstyledButton>
    </span>
  );
}

interface CellsProps extends Pick<Props, 'columns' | 'selected' | 'onSelect' | 'selectable'> {
  server: ListedServer;
  phone: boolean;
}

function Cells({ server, columns, selected, onSelect, selectable, phone }: CellsProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const box = selectable ? (
    <span role="cell">
      <Checkbox
        size="xs"
        aria-label={t('servers.selectOne', { name: server.name })}
        checked={selected.has(server.id)}
        onChange={(event) => onSelect(server, event.currentTarget.checked)}
      />
    </span>
  ) : null;
  if (phone) {
    const name = COLUMNS[0];
    return (
      <>
        {box}
        <span role="cell" className="vt-card">
          <span className="vt-line">
            {name?.cell(server, format)}
            <Status kind="server" value={server.status} />
          </span>
          <span className="vt-line vt-small">
            <span>{server.ip_address ?? '–'}</span>
            <span>
              {server.cpu} CPU · {format.memory(server.memory)} · {format.disk(server.disk_size)}
            </span>
          </span>
        </span>
      </>
    );
  }
  return (
    <>
      {box}
      {columns.map((column) => (
        <span role="cell" key={column.id} data-column={column.id}>
          {column.cell(server, format)}
        </span>
      ))}
    </>
  );
}
