/** The backups that were made last. */
import { Anchor } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { listBackups } from '../../api/backups';
import { keys } from '../../api/keys';
import { Ago } from '../../ui/Ago';
import { Card } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';
import { Status } from '../../ui/Status';

export function LastBackups() {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: [...keys.backups, 'latest'],
    queryFn: ({ signal }) => listBackups({ limit: 5, offset: 0 }, signal),
    refetchInterval: 30_000,
  });
  return (
    <Card
      title={t('overview.backups')}
      actions={
        <Anchor component={Link} to="/backups" size="sm">
          {t('nav.backups')}
        </Anchor>
      }
    >
      <QueryView query={query}>
        {({ backups }) => (
          <Sheet
            label={t('overview.backups')}
            empty={t('backup.none')}
            minWidth={320}
            heads={[t('nav.server'), t('column.status'), t('backup.made')]}
            rows={backups.map((backup) => ({
              key: backup.id,
              cells: [
                <Link key="s" to={`/servers/${backup.server_id}?tab=backups`}>{backup.server_name}</Link>,
                <Status key="t" kind="backup" value={backup.status} />,
                <Ago key="a" at={backup.finished_at ?? backup.created_at} />,
              ],
            }))}
          />
        )}
      </QueryView>
    </Card>
  );
}
