/** The backups of one server. */
import { Button, Group } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { listBackups } from '../../api/backups';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import { QueryView } from '../../ui/states';
import { BackupForm } from '../backups/BackupForm';
import { BackupRows } from '../backups/BackupRows';

export function ServerBackups({ id }: { id: number }) {
  const { t } = useTranslation();
  const writes = useCan('backups:write');
  const [making, setMaking] = useState(false);
  const query = useQuery({
    queryKey: [...keys.backups, 'server', id],
    queryFn: ({ signal }) => listBackups({ server_id: id, limit: 100, offset: 0 }, signal),
    refetchInterval: 15_000,
  });
  return (
    <>
      {writes ? (
        <Group mb="sm">
          <Button size="compact-sm" variant="default" onClick={() => setMaking(true)}>
            {t('backup.new')}
          </Button>
        </Group>
      ) : null}
      <QueryView query={query}>{({ backups }) => <BackupRows backups={backups} />}</QueryView>
      {making ? <BackupForm server={id} onClose={() => setMaking(false)} /> : null}
    </>
  );
}
