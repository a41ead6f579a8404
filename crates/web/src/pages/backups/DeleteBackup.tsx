/** Deletes a backup; the only one of its server only after one has said so. */
import { Checkbox } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Backup, deleteBackup } from '../../api/backups';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { Confirm } from '../../ui/Confirm';

export function DeleteBackup({ backup, onClose }: { backup: Backup; onClose: () => void }) {
  const { t } = useTranslation();
  const format = useFormat();
  const cache = useQueryClient();
  const [last, setLast] = useState(false);
  const remove = useMutation({
    mutationFn: () => deleteBackup(backup.backup_id, last ? backup.backup_id : null),
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.backups });
      onClose();
    },
  });
  return (
    <Confirm
      opened
      onClose={onClose}
      title={t('backup.deleteOf', { name: backup.server_name })}
      text={t('backup.deleteText', { at: format.moment(backup.finished_at ?? backup.created_at), storage: backup.storage })}
      word={backup.server_name}
      action={t('action.delete')}
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate()}
    >
      <Checkbox
        label={t('backup.evenLast')}
        checked={last}
        onChange={(event) => setLast(event.currentTarget.checked)}
      />
    </Confirm>
  );
}
