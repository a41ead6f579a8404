/** Servers by state. */
import { Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useFormat } from '../../i18n/format';
import { FaultAlert, Loading } from '../../ui/states';
import { Status } from '../../ui/Status';
import { useCounts } from './counts';

export function Counts() {
  const { t } = useTranslation();
  const format = useFormat();
  const { counts, whole, error } = useCounts();
  if (error) return <FaultAlert error={error} />;
  if (!whole) return <Loading rows={2} />;
  const all = counts.reduce((sum, one) => sum + one.count, 0);
  return (
    <nav className="tiles" aria-label={t('overview.byState')}>
      <Link className="tile" to="/servers">
        <b>{format.number(all)}</b>
        <Text size="sm">{t('overview.all')}</Text>
      </Link>
      {counts
        .filter((one) => one.count > 0 || one.status === 'running' || one.status === 'stopped')
        .map((one) => (
          <Link className="tile" key={one.status} to={`/servers?status=${one.status}`} data-state={one.status}>
            <b>{format.number(one.count)}</b>
            <Text size="sm" component="span">
              <Status kind="server" value={one.status} />
            </Text>
          </Link>
        ))}
    </nav>
  );
}
