/** The service itself: how it is doing, what it logged, what it was told. */
import { Tabs } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { useSession } from '../../session/context';
import { Page } from '../../ui/Page';
import { Configuration } from './Configuration';
import { Logs } from './Logs';
import { SystemState } from './SystemState';

export default function SystemPage() {
  const { t } = useTranslation();
  const { can } = useSession();
  const [params, setParams] = useSearchParams();
  const tabs = ['status', ...(can('logs:read') ? ['logs'] : []), ...(can('config:read') ? ['config'] : [])];
  const tab = tabs.find((one) => one === params.get('tab')) ?? 'status';
  return (
    <Page title={t('nav.system')}>
      <Tabs value={tab} keepMounted={false} onChange={(next) => setParams(next && next !== 'status' ? { tab: next } : {})}>
        <Tabs.List mb="md">
          {tabs.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {t(`system.${one}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="status">
          <SystemState />
        </Tabs.Panel>
        <Tabs.Panel value="logs">
          <Logs />
        </Tabs.Panel>
        <Tabs.Panel value="config">
          <Configuration />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
