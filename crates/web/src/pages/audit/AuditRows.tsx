/** Who did what, as rows. */
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../../api/client';
import { useFormat } from '../../i18n/format';
import { Sheet } from '../../ui/Sheet';
import { Status } from '../../ui/Status';

export function AuditRows({ rows }: { rows: readonly Schemas['AuditRow'][] }) {
  const { t } = useTranslation();
  const format = useFormat();
  return (
    <Sheet
      label={t('nav.audit')}
      empty={t('audit.none')}
      minWidth={760}
      heads={[t('audit.at'), t('audit.who'), t('audit.action'), t('audit.target'), t('audit.result'), t('audit.from')]}
      rows={rows.map((row) => ({
        key: row.seq,
        cells: [
          format.moment(row.at),
          row.actor,
          <span key="a" className="mono">{row.action}</span>,
          row.target ? `${row.target.kind} ${row.target.id}` : '–',
          <span key="r">
            <Status kind="word" value={row.result} /> {row.code ? <span className="mono">{row.code}</span> : null}
          </span>,
          `${row.address} · ${row.via}`,
        ],
      }))}
    />
  );
}
