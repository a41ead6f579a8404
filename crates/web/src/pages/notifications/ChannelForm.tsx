/** A channel that is made or changed. */
import { MultiSelect, Select, Switch, TextInput } from '@mantine/core';
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

const TYPES = ['error', 'warning', 'success', 'info'] as const;
const FIELDS = ['name', 'url', 'types', 'format', 'language', 'enabled'] as const;

interface Values {
  name: string;
  url: string;
  types: (typeof TYPES)[number][];
  format: 'event' | 'text';
  language: 'ko' | 'en';
  enabled: boolean;
}

interface Props {
  channel: Schemas['Channel'] | null;
  onClose: () => void;
  onMade: (key: string) => void;
}

export function ChannelForm({ channel, onClose, onMade }: Props) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [rest, setRest] = useState<string[]>([]);
  const resolver = useMemo(
    () =>
      zodResolver(
        z.object({
          name: z
            .string()
            .trim()
            .min(1, t('form.required'))
            .max(63, t('form.tooLong', { most: 63 }))
            .regex(/^[a-z]([a-z0-9-]*[a-z0-9])?$/, t('form.label')),
          // The service shows no path of a URL that is kept: nothing entered means that it stays.
          url: z
            .string()
            .trim()
            .refine((text) => (channel !== null && text === '') || /^https?:\/\/.+/.test(text), t('channel.urlRule')),
          types: z.array(z.enum(TYPES)).min(1, t('channel.oneType')),
          format: z.enum(['event', 'text']),
          language: z.enum(['ko', 'en']),
          enabled: z.boolean(),
        }),
      ),
    [t, channel],
  );
  const form = useForm<Values>({
    resolver,
    defaultValues: {
      name: channel?.name ?? '',
      url: '',
      types: channel?.types ?? [...TYPES],
      format: channel?.format ?? 'event',
      language: channel?.language ?? 'ko',
      enabled: channel?.enabled ?? true,
    },
  });
  const save = useMutation({
    mutationFn: ({ url, ...values }: Values): Promise<{ message: string; signing_key?: string }> =>
      channel
        ? ask(
            api.PATCH('/api/notifications/channels/{channel_id}', {
              params: { path: { channel_id: channel.id } },
              body: { ...values, ...(url ? { url } : {}) },
            }),
          )
        : ask(api.POST('/api/notifications/channels', { body: { ...values, url } })),
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      if (answer.signing_key) onMade(answer.signing_key);
      void cache.invalidateQueries({ queryKey: keys.channels });
      onClose();
    },
    onError: (error) => setRest(placeFaults(error, form.setError, FIELDS, (field) => field.replace(/\[\d+\]$/, ''))),
  });
  const { errors } = form.formState;
  return (
    <FormModal
      title={channel ? t('channel.editOf', { name: channel.name }) : t('channel.new')}
      onClose={onClose}
      onSubmit={(event) => void form.handleSubmit((values) => save.mutate(values))(event)}
      pending={save.isPending}
      error={save.error}
      rest={rest}
      action={t('action.save')}
    >
      <TextInput label={t('column.name')} withAsterisk error={errors.name?.message} {...form.register('name')} />
      <TextInput
        label="URL"
        withAsterisk={channel === null}
        placeholder={channel?.url ?? 'https://hooks.example.com/…'}
        description={channel ? t('channel.urlStays') : t('channel.urlHint')}
        error={errors.url?.message}
        {...form.register('url')}
      />
      <Controller
        control={form.control}
        name="types"
        render={({ field }) => (
          <MultiSelect
            label={t('channel.types')}
            data={TYPES.map((value) => ({ value, label: t(`status.word.${value}`) }))}
            error={errors.types?.message}
            {...field}
          />
        )}
      />
      <Controller
        control={form.control}
        name="format"
        render={({ field }) => (
          <Select
            label={t('channel.format')}
            allowDeselect={false}
            data={(['event', 'text'] as const).map((value) => ({ value, label: t(`channel.format_${value}`) }))}
            error={errors.format?.message}
            {...field}
          />
        )}
      />
      <Controller
        control={form.control}
        name="language"
        render={({ field }) => (
          <Select
            label={t('shell.language')}
            allowDeselect={false}
            data={[
              { value: 'ko', label: '한국어' },
              { value: 'en', label: 'English' },
            ]}
            error={errors.language?.message}
            {...field}
          />
        )}
      />
      <Controller
        control={form.control}
        name="enabled"
        render={({ field: { ref, value, onChange } }) => (
          <Switch ref={ref} label={t('channel.enabled')} checked={value} onChange={onChange} error={errors.enabled?.message} />
        )}
      />
    </FormModal>
  );
}
