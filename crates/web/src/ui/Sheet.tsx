/** A small table: heads, rows, and the words for none. */
import { ScrollArea, Table } from '@mantine/core';
import type { ReactNode } from 'react';
import { Empty } from './states';

interface Props {
  label: string;
  heads: readonly string[];
  rows: readonly { key: string | number; cells: readonly ReactNode[] }[];
  empty: string;
  minWidth?: number;
}

/** A moment, a size, a name: what is this short stays in one line. */
const SHORT = 24;

function isShort(cell: ReactNode): boolean {
  return typeof cell === 'number' || (typeof cell === 'string' && cell.length <= SHORT);
}

export function Sheet({ label, heads, rows, empty, minWidth = 560 }: Props) {
  if (rows.length === 0) return <Empty text={empty} />;
  return (
    <ScrollArea type="auto" offsetScrollbars="x" viewportProps={{ tabIndex: 0, role: 'region', 'aria-label': label }}>
      <Table aria-label={label} miw={minWidth}>
        <Table.Thead>
          <Table.Tr>
            {heads.map((head, n) => (
              <Table.Th key={head || n} scope="col">
                {head || <span className="mantine-visually-hidden" />}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => (
            <Table.Tr key={row.key}>
              {row.cells.map((cell, n) => (
                <Table.Td key={n} {...(isShort(cell) ? { className: 'short' } : {})}>
                  {cell}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </ScrollArea>
  );
}
