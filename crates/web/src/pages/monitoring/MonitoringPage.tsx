/** Who measures, what is scraped, and what is wrong for long enough. */
import { Tabs } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { Page } from '../../ui/Page';
import { Alerts } from './Alerts';
import { MonitoringState } from './MonitoringState';
import { Targets } from './Targets';

const TABS = ['status', 'targets', 'alerts'] as const;

export default function MonitoringPage() {
  const { t } = useTranslation();
  const [params, setParams] = useSearchParams();
  const tab = TABS.find((one) => one === params.get('tab')) ?? 'status';
  return (
    <Page title={t('nav.monitoring')}>
      <Tabs value={tab} keepMounted={false} onChange={(next) => setParams(next && next !== 'status' ? { tab: next } : {})}>
        <Tabs.List mb="md">
          {TABS.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {t(`monitoring.${one}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="status">
          <MonitoringState />
        </Tabs.Panel>
        <Tabs.Panel value="targets">
          <Targets />
        </Tabs.Panel>
        <Tabs.Panel value="alerts">
          <Alerts />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
