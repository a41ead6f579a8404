/** The table of servers. Only rows that are looked at are drawn and asked for. */
import { UnstyledButton } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Empty, FaultAlert, Loading } from '../../ui/states';
import type { Column, ListedServer } from './columns';
import type { ServerFilter, Sort } from './query';
import { useServerRows } from './rows';
import { ServerRow } from './ServerRow';
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
  useEffect(() => {
    if (box.current) box.current.scrollTop = 0;
  }, [filter]);
  const { head, row, total } = useServerRows(filter, seen.first, seen.last);
  const height = phone ? 58 : 36;
  const line = useMemo(() => {
    const tracks = columns.map((column) => `minmax(${column.width}px, ${column.grow ?? 0.5}fr)`);
    const least = columns.reduce((sum, column) => sum + column.width + GAP, selectable ? 24 + GAP : 0) + GAP;
    return { gridTemplateColumns: `${selectable ? '24px ' : ''}${tracks.join(' ')}`, minWidth: least };
  }, [columns, selectable]);
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
      <div role="rowgroup" style={{ height: virtual.getTotalSize(), position: 'relative', minWidth: phone ? 0 : line.minWidth }}>
        {virtual.getVirtualItems().map((item) => {
          const server = row(item.index);
          return (
            <ServerRow
              key={item.key}
              server={server}
              index={item.index}
              top={item.start}
              height={height}
              line={line}
              columns={columns}
              selected={server !== undefined && selected.has(server.id)}
              selectable={selectable}
              phone={phone}
              onSelect={onSelect}
            />
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
