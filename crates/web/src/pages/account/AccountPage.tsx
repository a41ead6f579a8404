/** Oneself: password, keys, sessions. */
import { Stack } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSession } from '../../session/context';
import { Card, Facts, Page } from '../../ui/Page';
import { roleText } from '../access/Users';
import { ApiKeys } from './ApiKeys';
import { PasswordForm } from './PasswordForm';
import { Sessions } from './Sessions';

export default function AccountPage() {
  const { t } = useTranslation();
  const { me } = useSession();
  return (
    <Page title={t('nav.account')}>
      <Stack gap="md">
        <div className="grid2">
          <Card title={me.username}>
            <Facts
              rows={[
                [t('access.roles'), me.roles.map(roleText).join(', ') || null],
                [t('access.permissions'), me.permissions.join(', ')],
              ]}
            />
          </Card>
          <Card title={t('account.password')}>
            <PasswordForm />
          </Card>
        </div>
        <ApiKeys />
        <Sessions />
      </Stack>
    </Page>
  );
}
