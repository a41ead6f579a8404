/** A person that is added or changed. */
import { PasswordInput, Switch, TagsInput, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Controller, useForm } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import * as z from 'zod';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { FormModal } from '../../ui/FormModal';
import { placeFaults } from '../../ui/forms';

interface Values {
  username: string;
  password: string;
  temporary: boolean;
  roles: string[];
  disabled: boolean;
  loseFactor: boolean;
}

/** `operator @ red` is the role on one project. */
function roleOf(text: string): Schemas['RoleGiven'] {
  const [role = '', project] = text.split('@').map((part) => part.trim());
  return project ? { role, project } : { role };
}

export function UserForm({ user, onClose }: { user: Schemas['User'] | null; onClose: () => void }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [rest, setRest] = useState<string[]>([]);
  const roles = useQuery({ queryKey: keys.roles, queryFn: ({ signal }) => ask(api.GET('/api/roles', { signal })) });
  const resolver = useMemo(
    () =>
      zodResolver(
        z.object({
          username: z
            .string()
            .trim()
            .min(1, t('form.required'))
            .max(64, t('form.tooLong', { most: 64 }))
            .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]*$/, t('form.username')),
          password: z
            .string()
            .max(256, t('form.tooLong', { most: 256 }))
            .refine((text) => (user !== null && text === '') || text.length >= 8, t('form.atLeastChars', { least: 8 })),
          temporary: z.boolean(),
          roles: z.array(z.string()).min(1, t('access.oneRole')),
          disabled: z.boolean(),
          loseFactor: z.boolean(),
        }),
      ),
    [t, user],
  );
  const form = useForm<Values>({
    resolver,
    defaultValues: {
      username: user?.username ?? '',
      password: '',
      temporary: true,
      roles: user?.roles.map((one) => (one.project ? `${one.role}@${one.project}` : one.role)) ?? ['viewer'],
      disabled: user?.disabled ?? false,
      loseFactor: false,
    },
  });
  const save = useMutation({
    mutationFn: (values: Values): Promise<{ message: string }> => {
      const given = values.roles.map(roleOf);
      if (!user) {
        return ask(
          api.POST('/api/users', { body: { username: values.username, password: values.password, temporary: values.temporary, roles: given } }),
        );
      }
      return ask(
        api.PATCH('/api/users/{user_id}', {
          params: { path: { user_id: user.id } },
          body: { ...(values.password ? { password: values.password, temporary: values.temporary } : {}), ...(values.loseFactor ? { second_factor: false } : {}), roles: given, disabled: values.disabled },
        }),
      );
    },
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.users });
      onClose();
    },
    onError: (error) =>
      setRest(
        placeFaults(error, form.setError, ['username', 'password', 'roles', 'disabled'], (field) =>
          field.replace(/^roles\[\d+\](\..*)?$/, 'roles'),
        ),
      ),
  });
  const { errors } = form.formState;
  return (
    <FormModal
      title={user ? t('access.editUser', { name: user.username }) : t('access.newUser')}
      onClose={onClose}
      onSubmit={(event) => void form.handleSubmit((values) => save.mutate(values))(event)}
      pending={save.isPending}
      error={save.error}
      rest={rest}
      action={t('action.save')}
    >
      <TextInput
        label={t('login.username')}
        withAsterisk
        autoComplete="off"
        readOnly={user !== null}
        error={errors.username?.message}
        {...form.register('username')}
      />
      <PasswordInput
        label={t(user ? 'access.newPassword' : 'login.password')}
        description={user ? t('access.passwordStays') : undefined}
        autoComplete="new-password"
        visibilityToggleButtonProps={{ 'aria-label': t('login.show') }}
        error={errors.password?.message}
        {...form.register('password')}
      />
      <Controller
        control={form.control}
        name="temporary"
        render={({ field: { ref, value, onChange } }) => (
          <Switch ref={ref} label={t('access.temporary')} checked={value} onChange={onChange} />
        )}
      />
      <Controller
        control={form.control}
        name="roles"
        render={({ field }) => (
          <TagsInput
            label={t('access.roles')}
            description={t('access.rolesHint')}
            data={(roles.data?.roles ?? []).map((role) => role.name)}
            error={errors.roles?.message}
            {...field}
          />
        )}
      />
      {user?.second_factor ? (
        <Controller
          control={form.control}
          name="loseFactor"
          render={({ field: { ref, value, onChange } }) => (
            <Switch ref={ref} label={t('access.loseFactor')} checked={value} onChange={onChange} />
          )}
        />
      ) : null}
      {user ? (
        <Controller
          control={form.control}
          name="disabled"
          render={({ field: { ref, value, onChange } }) => (
            <Switch ref={ref} label={t('access.disable')} checked={value} onChange={onChange} error={errors.disabled?.message} />
          )}
        />
      ) : null}
    </FormModal>
  );
}
