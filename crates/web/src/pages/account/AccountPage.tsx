/** Oneself: password, keys, sessions. */
import { Alert, Stack } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useFormat } from '../../i18n/format';
import { useSession } from '../../session/context';
import { Card, Facts, Page } from '../../ui/Page';
import { roleText } from '../access/Users';
import { ApiKeys } from './ApiKeys';
import { Factor } from './Factor';
import { PasswordForm } from './PasswordForm';
import { Sessions } from './Sessions';

export default function AccountPage() {
  const { t } = useTranslation();
  const { me } = useSession();
  const format = useFormat();
  return (
    <Page title={t('nav.account')}>
      <Stack gap="md">
        {me.password_ends_at ? (
          <Alert color="yellow" variant="outline">
            {t('session.passwordEnds', { until: format.moment(me.password_ends_at) })}
          </Alert>
        ) : null}
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
        <Factor />
        <ApiKeys />
        <Sessions />
      </Stack>
    </Page>
  );
}
