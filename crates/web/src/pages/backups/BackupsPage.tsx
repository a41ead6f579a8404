/** Backups, by which schedules they are made, and how they were tried. */
import { Tabs } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { Page } from '../../ui/Page';
import { BackupList } from './BackupList';
import { Drills } from './Drills';
import { Schedules } from './Schedules';

const TABS = ['backups', 'schedules', 'drills'] as const;

export default function BackupsPage() {
  const { t } = useTranslation();
  const [params, setParams] = useSearchParams();
  const tab = TABS.find((one) => one === params.get('tab')) ?? 'backups';
  return (
    <Page title={t('nav.backups')}>
      <Tabs value={tab} keepMounted={false} onChange={(next) => setParams(next && next !== 'backups' ? { tab: next } : {})}>
        <Tabs.List mb="md">
          <Tabs.Tab value="backups">{t('nav.backups')}</Tabs.Tab>
          <Tabs.Tab value="schedules">{t('schedule.title')}</Tabs.Tab>
          <Tabs.Tab value="drills">{t('drill.title')}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="backups">
          <BackupList />
        </Tabs.Panel>
        <Tabs.Panel value="schedules">
          <Schedules />
        </Tabs.Panel>
        <Tabs.Panel value="drills">
          <Drills />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
