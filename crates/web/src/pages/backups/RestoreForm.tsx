/** Puts a backup back: onto its server, onto another one, or as a new server. What is replaced has to be typed. */
import { Alert, Radio, Stack, Text, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Controller, useForm, useWatch } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import * as z from 'zod';
import { type Backup, restoreBackup } from '../../api/backups';
import { onceKey } from '../../api/client';
import { useFormat } from '../../i18n/format';
import { FormModal } from '../../ui/FormModal';
import { placeFaults } from '../../ui/forms';
import { ServerPick } from './ServerPick';

const TARGETS = ['same', 'other', 'new'] as const;

interface Values {
  target: (typeof TARGETS)[number];
  target_server_id: number | null;
  target_name: string;
  name: string;
  typed: string;
}

export function RestoreForm({ backup, onClose }: { backup: Backup; onClose: () => void }) {
  const { t } = useTranslation();
  const format = useFormat();
  const navigate = useNavigate();
  const [rest, setRest] = useState<string[]>([]);
  const resolver = useMemo(
    () =>
      zodResolver(
        z
          .object({
            target: z.enum(TARGETS),
            target_server_id: z.number().nullable(),
            target_name: z.string(),
            name: z
              .string()
              .trim()
              .max(63, t('form.tooLong', { most: 63 }))
              .regex(/^([a-z]([a-z0-9-]*[a-z0-9])?)?$/, t('form.label')),
            typed: z.string(),
          })
          .superRefine((values, context) => {
            const wrong = (field: keyof Values, message: string): void =>
              context.addIssue({ code: 'custom', path: [field], message });
            if (values.target === 'other' && values.target_server_id === null) {
              wrong('target_server_id', t('backup.chooseServer'));
            }
            const replaced = values.target === 'same' ? backup.server_name : values.target_name;
            if (values.target !== 'new' && values.typed.trim() !== replaced) {
              wrong('typed', t('confirm.type', { word: replaced }));
            }
          }),
      ),
    [t, backup],
  );
  const form = useForm<Values>({
    resolver,
    defaultValues: { target: 'new', target_server_id: null, target_name: '', name: '', typed: '' },
  });
  const [target, otherName] = useWatch({ control: form.control, name: ['target', 'target_name'] });
  const restore = useMutation({
    mutationFn: (values: Values) => {
      if (values.target === 'new') {
        return restoreBackup(backup.backup_id, { target_server_id: 'new', ...(values.name ? { name: values.name } : {}) }, onceKey());
      }
      const id = values.target === 'same' ? backup.server_id : (values.target_server_id ?? 0);
      return restoreBackup(backup.backup_id, { target_server_id: id, overwrite: true }, onceKey());
    },
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      onClose();
      if (answer.task_id) void navigate(`/tasks/${answer.task_id}`);
    },
    onError: (error) =>
      setRest(
        placeFaults(error, form.setError, ['target_server_id', 'name', 'typed'], (field) =>
          field === 'overwrite' ? 'typed' : field,
        ),
      ),
  });
  const { errors } = form.formState;
  const replaced = target === 'same' ? backup.server_name : otherName;
  return (
    <FormModal
      title={t('backup.restoreOf', { name: backup.server_name, at: format.moment(backup.finished_at ?? backup.created_at) })}
      onClose={onClose}
      onSubmit={(event) => void form.handleSubmit((values) => restore.mutate(values))(event)}
      pending={restore.isPending}
      error={restore.error}
      rest={rest}
      action={t('backup.restore')}
    >
      <Controller
        control={form.control}
        name="target"
        render={({ field }) => (
          <Radio.Group label={t('backup.where')} {...field}>
            <Stack gap={6} mt={6}>
              {TARGETS.map((value) => (
                <Radio key={value} value={value} label={t(`backup.to_${value}`, { name: backup.server_name })} />
              ))}
            </Stack>
          </Radio.Group>
        )}
      />
      {target === 'other' ? (
        <Controller
          control={form.control}
          name="target_server_id"
          render={({ field }) => (
            <ServerPick
              label={t('backup.onto')}
              value={field.value}
              onChange={(id, name) => {
                field.onChange(id);
                form.setValue('target_name', name);
              }}
              error={errors.target_server_id?.message}
            />
          )}
        />
      ) : null}
      {target === 'new' ? (
        <TextInput
          label={t('backup.newName')}
          description={t('backup.newNameHint')}
          error={errors.name?.message}
          {...form.register('name')}
        />
      ) : replaced ? (
        <>
          <Alert color="red" variant="outline">
            <Text size="sm">{t('backup.replaces', { name: replaced })}</Text>
          </Alert>
          <TextInput
            label={t('confirm.type', { word: replaced })}
            autoComplete="off"
            spellCheck={false}
            error={errors.typed?.message}
            {...form.register('typed')}
          />
        </>
      ) : null}
    </FormModal>
  );
}
