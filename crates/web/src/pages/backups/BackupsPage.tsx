/** Backups, and by which schedules they are made. */
import { Tabs } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { Page } from '../../ui/Page';
import { BackupList } from './BackupList';
import { Schedules } from './Schedules';

export default function BackupsPage() {
  const { t } = useTranslation();
  const [params, setParams] = useSearchParams();
  const tab = params.get('tab') === 'schedules' ? 'schedules' : 'backups';
  return (
    <Page title={t('nav.backups')}>
      <Tabs value={tab} keepMounted={false} onChange={(next) => setParams(next === 'schedules' ? { tab: next } : {})}>
        <Tabs.List mb="md">
          <Tabs.Tab value="backups">{t('nav.backups')}</Tabs.Tab>
          <Tabs.Tab value="schedules">{t('schedule.title')}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="backups">
          <BackupList />
        </Tabs.Panel>
        <Tabs.Panel value="schedules">
          <Schedules />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
