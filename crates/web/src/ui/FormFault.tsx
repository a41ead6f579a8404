/** Above a form's buttons: what the service said that belongs to no single field. */
import { Alert, List } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { isFault } from '../api/fault';
import { FaultAlert } from './states';

export function FormFault({ error, rest = [] }: { error: unknown; rest?: readonly string[] }) {
  const { t } = useTranslation();
  if (!error) return null;
  if (isFault(error) && error.fields.length > 0) {
    if (rest.length === 0) return null;
    return (
      <Alert color="red" variant="outline" title={t('form.refused')}>
        <List size="sm">
          {rest.map((text) => (
            <List.Item key={text}>{text}</List.Item>
          ))}
        </List>
      </Alert>
    );
  }
  if (isFault(error) && error.code === 'UNAUTHENTICATED') {
    return <Alert color="yellow" variant="outline" title={t('session.ended')}>{t('session.pressAgain')}</Alert>;
  }
  if (isFault(error) && error.code === 'LOGIN_AGAIN') {
    return <Alert color="yellow" variant="outline" title={t('session.fresh')}>{t('session.pressAgain')}</Alert>;
  }
  return <FaultAlert error={error} />;
}
