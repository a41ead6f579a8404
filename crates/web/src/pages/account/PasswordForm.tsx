/** One's own password. */
import { Button, Group, PasswordInput, Stack } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useForm } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import * as z from 'zod';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { placeFaults } from '../../ui/forms';
import { FormFault } from '../../ui/FormFault';

interface Values {
  current_password: string;
  new_password: string;
  again: string;
}

export function PasswordForm() {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [rest, setRest] = useState<string[]>([]);
  const resolver = useMemo(
    () =>
      zodResolver(
        z
          .object({
            current_password: z.string().min(1, t('form.required')),
            new_password: z.string().min(8, t('form.atLeastChars', { least: 8 })).max(256, t('form.tooLong', { most: 256 })),
            again: z.string(),
          })
          .refine((values) => values.again === values.new_password, { path: ['again'], error: t('account.differs') }),
      ),
    [t],
  );
  const form = useForm<Values>({ resolver, defaultValues: { current_password: '', new_password: '', again: '' } });
  const change = useMutation({
    mutationFn: ({ current_password, new_password }: Values) =>
      ask(api.POST('/api/auth/password', { body: { current_password, new_password } })),
    onSuccess: (answer) => {
      form.reset();
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.sessions });
      void cache.invalidateQueries({ queryKey: keys.me });
    },
    onError: (error) => setRest(placeFaults(error, form.setError, ['current_password', 'new_password'])),
  });
  const { errors } = form.formState;
  const field = (name: keyof Values, label: string, complete: string) => (
    <PasswordInput
      label={label}
      autoComplete={complete}
      visibilityToggleButtonProps={{ 'aria-label': t('login.show') }}
      error={errors[name]?.message}
      {...form.register(name)}
    />
  );
  return (
    <form noValidate onSubmit={form.handleSubmit((values) => change.mutate(values))}>
      <Stack gap="sm" maw={380}>
        {field('current_password', t('account.current'), 'current-password')}
        {field('new_password', t('account.new'), 'new-password')}
        {field('again', t('account.again'), 'new-password')}
        <FormFault error={change.error} rest={rest} />
        <Group>
          <Button type="submit" size="xs" loading={change.isPending}>
            {t('account.change')}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
