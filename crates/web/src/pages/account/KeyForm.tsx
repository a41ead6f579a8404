/** A key that is made. */
import { MultiSelect, TagsInput, TextInput } from '@mantine/core';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Controller, useForm } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import * as z from 'zod';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useSession } from '../../session/context';
import { FormModal } from '../../ui/FormModal';
import { isFuture, placeFaults } from '../../ui/forms';
import { scopes } from '../access/permissions';

interface Values {
  name: string;
  scopes: string[];
  networks: string[];
  expires_at: string;
}

export function KeyForm({ onClose, onMade }: { onClose: () => void; onMade: (made: Schemas['KeyMade']) => void }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const { me } = useSession();
  const [rest, setRest] = useState<string[]>([]);
  const resolver = useMemo(
    () =>
      zodResolver(
        z.object({
          name: z.string().trim().min(1, t('form.required')).max(100, t('form.tooLong', { most: 100 })),
          scopes: z.array(z.string()).min(1, t('access.onePermission')),
          networks: z.array(z.string()),
          expires_at: z.string().refine((text) => !text || isFuture(text), t('form.future')),
        }),
      ),
    [t],
  );
  const form = useForm<Values>({ resolver, defaultValues: { name: '', scopes: [], networks: [], expires_at: '' } });
  const make = useMutation({
    mutationFn: (values: Values) =>
      ask(
        api.POST('/api/auth/keys', {
          body: {
            name: values.name,
            scopes: scopes(values.scopes),
            ...(values.networks.length > 0 ? { networks: values.networks } : {}),
            ...(values.expires_at ? { expires_at: new Date(values.expires_at).toISOString() } : {}),
          },
        }),
      ),
    onSuccess: (made) => {
      onMade(made);
      void cache.invalidateQueries({ queryKey: keys.apiKeys });
      onClose();
    },
    onError: (error) =>
      setRest(
        placeFaults(error, form.setError, ['name', 'scopes', 'networks', 'expires_at'], (field) => field.replace(/\[\d+\]$/, '')),
      ),
  });
  const { errors } = form.formState;
  const groups = [...new Set(me.permissions.map((permission) => `${permission.split(':')[0] ?? ''}:*`))];
  return (
    <FormModal
      title={t('account.newKey')}
      onClose={onClose}
      onSubmit={(event) => void form.handleSubmit((values) => make.mutate(values))(event)}
      pending={make.isPending}
      error={make.error}
      rest={rest}
      action={t('account.make')}
    >
      <TextInput label={t('column.name')} withAsterisk placeholder="deploy" error={errors.name?.message} {...form.register('name')} />
      <Controller
        control={form.control}
        name="scopes"
        render={({ field }) => (
          <MultiSelect
            label={t('account.scopes')}
            description={t('account.scopesHint')}
            data={['*', ...groups, ...me.permissions]}
            searchable
            error={errors.scopes?.message}
            {...field}
          />
        )}
      />
      <Controller
        control={form.control}
        name="networks"
        render={({ field }) => (
          <TagsInput
            label={t('account.networks')}
            description={t('account.networksHint')}
            placeholder="192.0.2.0/24"
            error={errors.networks?.message}
            {...field}
          />
        )}
      />
      <TextInput
        type="datetime-local"
        label={t('account.until')}
        description={t('account.untilHint')}
        error={errors.expires_at?.message}
        {...form.register('expires_at')}
      />
    </FormModal>
  );
}
