/** A backup that is asked for. */
import { Autocomplete, Select, Switch, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Controller, useForm } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import * as z from 'zod';
import { COMPRESSIONS, createBackup, MODES } from '../../api/backups';
import { api, ask, onceKey } from '../../api/client';
import { keys } from '../../api/keys';
import { FormModal } from '../../ui/FormModal';
import { placeFaults } from '../../ui/forms';
import { ServerPick } from './ServerPick';

interface Values {
  server_id: number | null;
  mode: '' | (typeof MODES)[number];
  compress: '' | (typeof COMPRESSIONS)[number];
  storage: string;
  notes: string;
  protected: boolean;
}
const FIELDS = ['server_id', 'mode', 'compress', 'storage', 'notes', 'protected'] as const;

export function BackupForm({ server, onClose }: { server?: number; onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [rest, setRest] = useState<string[]>([]);
  const nodes = useQuery({ queryKey: keys.nodes, queryFn: ({ signal }) => ask(api.GET('/api/nodes', { signal })) });
  const storages = [...new Set((nodes.data?.nodes ?? []).flatMap((node) => node.storages.map((storage) => storage.name)))];
  const resolver = useMemo(
    () =>
      zodResolver(
        z.object({
          server_id: z.number({ error: t('backup.chooseServer') }),
          mode: z.enum(['', ...MODES]),
          compress: z.enum(['', ...COMPRESSIONS]),
          storage: z.string().trim(),
          notes: z
            .string()
            .max(200, t('form.tooLong', { most: 200 }))
            .regex(/^([^\\{\n]|\{(?!\{))*$/, t('backup.notesRule')),
          protected: z.boolean(),
        }),
      ) as ReturnType<typeof zodResolver<Values, unknown, Values>>,
    [t],
  );
  const form = useForm<Values>({
    resolver,
    defaultValues: { server_id: server ?? null, mode: '', compress: '', storage: '', notes: '', protected: false },
  });
  const make = useMutation({
    mutationFn: (values: Values) =>
      createBackup(
        {
          server_id: values.server_id ?? 0,
          ...(values.mode ? { mode: values.mode } : {}),
          ...(values.compress ? { compress: values.compress } : {}),
          ...(values.storage ? { storage: values.storage } : {}),
          ...(values.notes ? { notes: values.notes } : {}),
          ...(values.protected ? { protected: true } : {}),
        },
        onceKey(),
      ),
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      onClose();
      if (answer.task_id) void navigate(`/tasks/${answer.task_id}`);
    },
    onError: (error) => setRest(placeFaults(error, form.setError, FIELDS)),
  });
  const { errors } = form.formState;
  const choice = (name: 'mode' | 'compress', values: readonly string[]) => (
    <Controller
      control={form.control}
      name={name}
      render={({ field }) => (
        <Select
          label={t(`backup.${name}`)}
          allowDeselect={false}
          data={['', ...values].map((value) => ({ value, label: t(`backup.${name}_${value || 'usual'}`) }))}
          error={errors[name]?.message}
          {...field}
        />
      )}
    />
  );
  return (
    <FormModal
      title={t('backup.new')}
      onClose={onClose}
      onSubmit={(event) => void form.handleSubmit((values) => make.mutate(values))(event)}
      pending={make.isPending}
      error={make.error}
      rest={rest}
      action={t('backup.make')}
    >
      {server === undefined ? (
        <Controller
          control={form.control}
          name="server_id"
          render={({ field }) => (
            <ServerPick label={t('nav.server')} value={field.value} onChange={field.onChange} error={errors.server_id?.message} />
          )}
        />
      ) : null}
      {choice('mode', MODES)}
      {choice('compress', COMPRESSIONS)}
      <Controller
        control={form.control}
        name="storage"
        render={({ field }) => (
          <Autocomplete
            label={t('backup.storage')}
            description={t('backup.storageHint')}
            data={storages}
            error={errors.storage?.message}
            {...field}
          />
        )}
      />
      <TextInput label={t('backup.notes')} error={errors.notes?.message} {...form.register('notes')} />
      <Switch label={t('backup.keep')} error={errors.protected?.message} {...form.register('protected')} />
    </FormModal>
  );
}
