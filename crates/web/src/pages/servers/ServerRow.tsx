/** One row of the table. It is drawn again only when what it shows is different: rows pass by quickly. */
import { type CSSProperties, memo } from 'react';
import { useTranslation } from 'react-i18next';
import { useFormat } from '../../i18n/format';
import { Status } from '../../ui/Status';
import { type Column, COLUMNS, type ListedServer } from './columns';

interface Props {
  server: ListedServer | undefined;
  index: number;
  top: number;
  height: number;
  line: CSSProperties;
  columns: readonly Column[];
  selected: boolean;
  selectable: boolean;
  phone: boolean;
  onSelect: (server: ListedServer, on: boolean) => void;
}

export const ServerRow = memo(function ServerRow({ server, index, top, height, line, selected, ...props }: Props) {
  const { t } = useTranslation();
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className="vt-row vt-item"
      data-server={server?.name}
      data-selected={selected}
      style={{ ...line, height, transform: `translateY(${top}px)` }}
    >
      {server ? (
        <Cells server={server} selected={selected} {...props} />
      ) : (
        <span role="cell" className="vt-wait">
          {t('state.loading')}
        </span>
      )}
    </div>
  );
});

type CellsProps = Pick<Props, 'columns' | 'selected' | 'selectable' | 'phone' | 'onSelect'> & { server: ListedServer };

function Cells({ server, columns, selected, selectable, phone, onSelect }: CellsProps) {
  const { t } = useTranslation();
  const format = useFormat();
  return (
    <>
      {selectable ? (
        <span role="cell">
          <input
            type="checkbox"
            className="vt-check"
            aria-label={t('servers.selectOne', { name: server.name })}
            checked={selected}
            onChange={(event) => onSelect(server, event.currentTarget.checked)}
          />
        </span>
      ) : null}
      {phone ? (
        <span role="cell" className="vt-card">
          <span className="vt-line">
            {COLUMNS[0]?.cell(server, format)}
            <Status kind="server" value={server.status} />
          </span>
          <span className="vt-line vt-small">
            <span>{server.ip_address ?? '–'}</span>
            <span>
              {server.cpu} CPU · {format.memory(server.memory)} · {format.disk(server.disk_size)}
            </span>
          </span>
        </span>
      ) : (
        columns.map((column) => (
          <span role="cell" key={column.id} data-column={column.id}>
            {column.cell(server, format)}
          </span>
        ))
      )}
    </>
  );
}
