/** A project that is made or changed. */
import { NumberInput, Textarea, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Controller, useForm } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import * as z from 'zod';
import { api, ask, onceKey, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { FormModal } from '../../ui/FormModal';
import { placeFaults } from '../../ui/forms';

const BOUNDS = ['servers', 'cpu', 'memory', 'disk_size'] as const;
type Bound = (typeof BOUNDS)[number];
type Values = { name: string; description: string } & Record<Bound, number | ''>;

export function ProjectForm({ project, onClose }: { project: Schemas['Project'] | null; onClose: () => void }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [rest, setRest] = useState<string[]>([]);
  const resolver = useMemo(() => {
    const bound = z.union([z.number().int(t('form.whole')).min(0, t('form.atLeast', { least: 0 })), z.literal('')], {
      error: t('form.number'),
    });
    return zodResolver(
      z.object({
        name: z.string().trim().min(1, t('form.required')).max(63, t('form.tooLong', { most: 63 })).regex(/^[a-z]([a-z0-9-]*[a-z0-9])?$/, t('form.label')),
        description: z.string().max(500, t('form.tooLong', { most: 500 })),
        servers: bound,
        cpu: bound,
        memory: bound,
        disk_size: bound,
      }),
    );
  }, [t]);
  const form = useForm<Values>({
    resolver,
    defaultValues: {
      name: project?.name ?? '',
      description: project?.description ?? '',
      servers: project?.quota.servers ?? '',
      cpu: project?.quota.cpu ?? '',
      memory: project?.quota.memory ?? '',
      disk_size: project?.quota.disk_size ?? '',
    },
  });
  const save = useMutation({
    mutationFn: async (values: Values) => {
      const bound = (name: Bound): number | null => (typeof values[name] === 'number' ? values[name] : null);
      const quota = { servers: bound('servers'), cpu: bound('cpu'), memory: bound('memory'), disk_size: bound('disk_size') };
      const body = { name: values.name, description: values.description, quota };
      if (project) {
        await ask(api.PATCH('/api/projects/{project_id}', { params: { path: { project_id: project.id } }, body }));
        return t('project.saved');
      }
      return (await ask(api.POST('/api/projects', { params: { header: { 'Idempotency-Key': onceKey() } }, body }))).message;
    },
    onSuccess: (message) => {
      notifications.show({ message });
      void cache.invalidateQueries({ queryKey: keys.projects });
      onClose();
    },
    onError: (error) =>
      setRest(placeFaults(error, form.setError, ['name', 'description', ...BOUNDS], (field) => field.replace(/^quota\./, ''))),
  });
  const { errors } = form.formState;
  return (
    <FormModal
      title={project ? t('project.editOf', { name: project.name }) : t('project.new')}
      onClose={onClose}
      onSubmit={(event) => void form.handleSubmit((values) => save.mutate(values))(event)}
      pending={save.isPending}
      error={save.error}
      rest={rest}
      action={t('action.save')}
    >
      <TextInput label={t('column.name')} withAsterisk error={errors.name?.message} {...form.register('name')} />
      <Textarea label={t('field.description')} autosize error={errors.description?.message} {...form.register('description')} />
      {BOUNDS.map((bound) => (
        <Controller
          key={bound}
          control={form.control}
          name={bound}
          render={({ field }) => (
            <NumberInput
              label={t(`project.most_${bound}`)}
              placeholder={t('project.noBound')}
              min={0}
              error={errors[bound]?.message}
              {...field}
            />
          )}
        />
      ))}
    </FormModal>
  );
}
