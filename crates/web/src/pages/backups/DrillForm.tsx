/** Tries a backup where nobody can reach it. */
import { Alert, Anchor, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Controller, useForm } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate } from 'react-router';
import type { Backup } from '../../api/backups';
import { onceKey } from '../../api/client';
import { drillBackup } from '../../api/drills';
import { type Fault, isFault } from '../../api/fault';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { FormModal } from '../../ui/FormModal';
import { placeFaults } from '../../ui/forms';
import { requestOf, type Wish, wishField, wishRules } from './drill';
import { CommandField, GoalField } from './DrillFields';

export function DrillForm({ backup, onClose }: { backup: Backup; onClose: () => void }) {
  const { t } = useTranslation();
  const format = useFormat();
  const cache = useQueryClient();
  const navigate = useNavigate();
  const [rest, setRest] = useState<string[]>([]);
  const resolver = useMemo(() => zodResolver(wishRules(t)), [t]);
  const form = useForm<Wish>({ resolver, defaultValues: { goal: '', command: '' } });
  const drill = useMutation({
    mutationFn: (wish: Wish) => drillBackup(backup.backup_id, requestOf(wish), onceKey()),
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.drills });
      onClose();
      void navigate(`/tasks/${answer.task_id}`);
    },
    onError: (error) => setRest(placeFaults(error, form.setError, ['goal', 'command'], wishField)),
  });
  const { errors } = form.formState;
  const noNetwork = isFault(drill.error) && drill.error.code === 'NO_DRILL_NETWORK' ? drill.error : null;
  return (
    <FormModal
      title={t('drill.tryOf', { name: backup.server_name, at: format.moment(backup.finished_at ?? backup.created_at) })}
      onClose={onClose}
      onSubmit={(event) => void form.handleSubmit((wish) => drill.mutate(wish))(event)}
      pending={drill.isPending}
      error={noNetwork ? null : drill.error}
      rest={rest}
      action={t('drill.start')}
    >
      <Text size="sm">{t('drill.where')}</Text>
      <Controller
        control={form.control}
        name="goal"
        render={({ field }) => <GoalField field={field} error={errors.goal?.message} />}
      />
      <Controller
        control={form.control}
        name="command"
        render={({ field }) => <CommandField field={field} error={errors.command?.message} />}
      />
      {noNetwork ? <NoNetwork fault={noNetwork} /> : null}
    </FormModal>
  );
}

function NoNetwork({ fault }: { fault: Fault }) {
  const { t } = useTranslation();
  return (
    <Alert color="red" variant="outline" title={fault.message}>
      <Stack gap="xs" align="flex-start">
        <Text size="sm">{t('drill.noNetworkText', { network: fault.details.network ?? 'drill' })}</Text>
        <Anchor component={Link} to="/networks" size="sm">
          {t('drill.toNetworks')}
        </Anchor>
      </Stack>
    </Alert>
  );
}
