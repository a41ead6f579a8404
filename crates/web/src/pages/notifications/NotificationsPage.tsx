/** What was told, and where else it is told. */
import { Tabs } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { useCan } from '../../session/context';
import { Page } from '../../ui/Page';
import { Channels } from './Channels';
import { Inbox } from './Inbox';

export default function NotificationsPage() {
  const { t } = useTranslation();
  const [params, setParams] = useSearchParams();
  const channels = useCan('channels:read');
  const tab = channels && params.get('tab') === 'channels' ? 'channels' : 'inbox';
  return (
    <Page title={t('nav.notifications')}>
      <Tabs value={tab} keepMounted={false} onChange={(next) => setParams(next === 'channels' ? { tab: next } : {})}>
        {channels ? (
          <Tabs.List mb="md">
            <Tabs.Tab value="inbox">{t('note.inbox')}</Tabs.Tab>
            <Tabs.Tab value="channels">{t('channel.title')}</Tabs.Tab>
          </Tabs.List>
        ) : null}
        <Tabs.Panel value="inbox">
          <Inbox />
        </Tabs.Panel>
        <Tabs.Panel value="channels">
          <Channels />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
