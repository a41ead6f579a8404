/** Who may do what: people and roles. */
import { Tabs } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { Page } from '../../ui/Page';
import { Roles } from './Roles';
import { Users } from './Users';

export default function AccessPage() {
  const { t } = useTranslation();
  const [params, setParams] = useSearchParams();
  const tab = params.get('tab') === 'roles' ? 'roles' : 'users';
  return (
    <Page title={t('nav.access')}>
      <Tabs value={tab} keepMounted={false} onChange={(next) => setParams(next === 'roles' ? { tab: next } : {})}>
        <Tabs.List mb="md">
          <Tabs.Tab value="users">{t('access.users')}</Tabs.Tab>
          <Tabs.Tab value="roles">{t('access.roles')}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="users">
          <Users />
        </Tabs.Panel>
        <Tabs.Panel value="roles">
          <Roles />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
