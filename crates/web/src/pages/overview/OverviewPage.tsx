/** How everything is doing, in one glance. Every number leads to what it counts. */
import { Stack } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSession } from '../../session/context';
import { Page } from '../../ui/Page';
import { Attention } from './Attention';
import { Capacity } from './Capacity';
import { Counts } from './Counts';
import { LastBackups } from './LastBackups';
import { Recent } from './Recent';

export default function OverviewPage() {
  const { t } = useTranslation();
  const { can } = useSession();
  return (
    <Page title={t('nav.overview')}>
      <Stack gap="md">
        {can('servers:read') ? <Counts /> : null}
        <div className="grid2">
          <Attention />
          {can('tasks:read') ? <Recent /> : null}
        </div>
        <div className="grid2">
          {can('servers:read') ? <Capacity /> : null}
          {can('backups:read') ? <LastBackups /> : null}
        </div>
      </Stack>
    </Page>
  );
}
