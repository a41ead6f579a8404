/** A secret that is written; earlier versions are kept by the store. */
import { Textarea, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useForm } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import * as z from 'zod';
import { call } from '../../api/call';
import type { Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { FormModal } from '../../ui/FormModal';
import { placeFaults } from '../../ui/forms';

interface Values {
  path: string;
  fields: string;
}

function fieldsOf(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0 ? value : null;
  } catch {
    return null;
  }
}

export function SecretForm({ folder, onClose }: { folder: string; onClose: () => void }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [rest, setRest] = useState<string[]>([]);
  const resolver = useMemo(
    () =>
      zodResolver(
        z.object({
          path: z.string().trim().regex(/^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)+$/, t('secret.pathRule')),
          fields: z.string().refine((text) => fieldsOf(text) !== null, t('secret.fieldsRule')),
        }),
      ),
    [t],
  );
  const form = useForm<Values>({ resolver, defaultValues: { path: `${folder}/`, fields: '' } });
  const write = useMutation({
    mutationFn: (values: Values) =>
      call<Schemas['SecretWritten']>('POST', `/api/vault/secrets/${values.path}`, { body: fieldsOf(values.fields) ?? {} }),
    gcTime: 0,
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.secrets });
      onClose();
    },
    onError: (error) =>
      setRest(placeFaults(error, form.setError, ['path', 'fields'], (field) => (field === 'path' ? field : 'fields'))),
  });
  const { errors } = form.formState;
  return (
    <FormModal
      title={t('secret.new')}
      onClose={onClose}
      onSubmit={(event) => void form.handleSubmit((values) => write.mutate(values))(event)}
      pending={write.isPending}
      error={write.error}
      rest={rest}
      action={t('action.save')}
    >
      <TextInput label={t('secret.path')} withAsterisk autoComplete="off" error={errors.path?.message} {...form.register('path')} />
      <Textarea
        label={t('secret.fields')}
        withAsterisk
        rows={6}
        spellCheck={false}
        autoComplete="off"
        placeholder={'{ "username": "…", "password": "…" }'}
        error={errors.fields?.message}
        {...form.register('fields')}
      />
    </FormModal>
  );
}
