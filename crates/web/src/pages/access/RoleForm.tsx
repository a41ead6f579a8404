/** A role that is made or changed. */
import { MultiSelect, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Controller, useForm } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import * as z from 'zod';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { FormModal } from '../../ui/FormModal';
import { placeFaults } from '../../ui/forms';
import { useSession } from '../../session/context';
import { scopes } from './permissions';

interface Values {
  name: string;
  permissions: string[];
}

export function RoleForm({ role, onClose }: { role: Schemas['Role'] | null; onClose: () => void }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const { me } = useSession();
  const [rest, setRest] = useState<string[]>([]);
  const resolver = useMemo(
    () =>
      zodResolver(
        z.object({
          name: z.string().trim().min(1, t('form.required')).max(63, t('form.tooLong', { most: 63 })).regex(/^[a-z]([a-z0-9-]*[a-z0-9])?$/, t('form.label')),
          permissions: z.array(z.string()).min(1, t('access.onePermission')),
        }),
      ),
    [t],
  );
  const form = useForm<Values>({
    resolver,
    defaultValues: { name: role?.name ?? '', permissions: role?.permissions ?? [] },
  });
  const save = useMutation({
    mutationFn: async (values: Values) => {
      const permissions = scopes(values.permissions);
      if (role) await ask(api.PATCH('/api/roles/{role}', { params: { path: { role: role.name } }, body: { permissions } }));
      else await ask(api.POST('/api/roles', { body: { name: values.name, permissions } }));
    },
    onSuccess: () => {
      notifications.show({ message: t('access.roleSaved') });
      void cache.invalidateQueries({ queryKey: keys.roles });
      onClose();
    },
    onError: (error) =>
      setRest(placeFaults(error, form.setError, ['name', 'permissions'], (field) => field.replace(/\[\d+\]$/, ''))),
  });
  const { errors } = form.formState;
  return (
    <FormModal
      title={role ? t('access.editRole', { name: role.name }) : t('access.newRole')}
      onClose={onClose}
      onSubmit={(event) => void form.handleSubmit((values) => save.mutate(values))(event)}
      pending={save.isPending}
      error={save.error}
      rest={rest}
      action={t('action.save')}
    >
      <TextInput
        label={t('column.name')}
        withAsterisk
        readOnly={role !== null}
        error={errors.name?.message}
        {...form.register('name')}
      />
      <Controller
        control={form.control}
        name="permissions"
        render={({ field }) => (
          <MultiSelect
            label={t('access.permissions')}
            // Nobody can give more than they have.
            data={[...new Set([...me.permissions, ...(role?.permissions ?? [])])]}
            searchable
            error={errors.permissions?.message}
            {...field}
          />
        )}
      />
    </FormModal>
  );
}
