/** There is no such page. */
import { Anchor } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { Page } from '../ui/Page';
import { Empty } from '../ui/states';

export function NotFound() {
  const { t } = useTranslation();
  return (
    <Page title={t('state.noPage')}>
      <Empty text={t('state.noPageText')}>
        <Anchor component={Link} to="/">
          {t('nav.overview')}
        </Anchor>
      </Empty>
    </Page>
  );
}
