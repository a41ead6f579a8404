/** All backups. */
import { Button, Group, Select, Stack } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { BACKUP_STATES, listBackups } from '../../api/backups';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import { Card } from '../../ui/Page';
import { Pager, usePage } from '../../ui/Pager';
import { QueryView } from '../../ui/states';
import { BackupForm } from './BackupForm';
import { BackupRows } from './BackupRows';

const SIZE = 50;

export function BackupList() {
  const { t } = useTranslation();
  const writes = useCan('backups:write');
  const [making, setMaking] = useState(false);
  const [params, setParams] = useSearchParams();
  const place = usePage(SIZE);
  const status = BACKUP_STATES.find((one) => one === params.get('status'));
  const query = useQuery({
    queryKey: [...keys.backups, status, place.page],
    queryFn: ({ signal }) => listBackups({ limit: SIZE, offset: place.offset, ...(status ? { status } : {}) }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
  });
  return (
    <Stack gap="md">
      <Group justify="space-between">
        <Select
          size="xs"
          clearable
          w={150}
          aria-label={t('column.status')}
          placeholder={t('column.status')}
          data={BACKUP_STATES.map((value) => ({ value, label: t(`status.backup.${value}`) }))}
          value={status ?? null}
          onChange={(value) => setParams(value ? { status: value } : {})}
        />
        {writes ? (
          <Button size="compact-sm" onClick={() => setMaking(true)}>
            {t('backup.new')}
          </Button>
        ) : null}
      </Group>
      <Card>
        <QueryView query={query} rows={10}>
          {({ backups, total }) => (
            <>
              <BackupRows backups={backups} />
              <Pager total={total} size={SIZE} page={place.page} go={place.go} />
            </>
          )}
        </QueryView>
      </Card>
      {making ? <BackupForm onClose={() => setMaking(false)} /> : null}
    </Stack>
  );
}
