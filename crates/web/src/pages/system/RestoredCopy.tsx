/** The database is an older copy: nothing is changed until an admin has accepted that. */
import { Alert, Button, Group, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { api, ask } from '../../api/client';
import { useFormat } from '../../i18n/format';
import { useCan } from '../../session/context';
import { FaultAlert } from '../../ui/states';

export function RestoredCopy({ since }: { since: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const cache = useQueryClient();
  const writes = useCan('system:write');
  const accept = useMutation({
    mutationFn: () => ask(api.POST('/api/system/restored/accept', {})),
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      void cache.invalidateQueries();
    },
  });
  return (
    <Alert color="yellow" title={t('system.restored')}>
      <Text size="sm">{t('system.restoredText', { since: format.moment(since) })}</Text>
      {accept.isError ? <FaultAlert error={accept.error} /> : null}
      {writes ? (
        <Group mt="sm">
          <Button size="xs" loading={accept.isPending} onClick={() => accept.mutate()}>
            {t('system.acceptRestored')}
          </Button>
        </Group>
      ) : null}
    </Alert>
  );
}
