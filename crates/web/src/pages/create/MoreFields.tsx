/** What is seldom chosen: engine, node, tags, end, what a failure means for the others. */
import { Select, Stack, TagsInput, Textarea, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Controller, type UseFormReturn, useWatch } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { Values } from './values';

type Choice = 'engine' | 'spread' | 'on_expiry' | 'policy';

export function MoreFields({ form }: { form: UseFormReturn<Values> }) {
  const { t } = useTranslation();
  const { errors } = form.formState;
  const [count, expires] = useWatch({ control: form.control, name: ['count', 'expires_at'] });
  const nodes = useQuery({ queryKey: keys.nodes, queryFn: ({ signal }) => ask(api.GET('/api/nodes', { signal })) });
  const choice = (name: Choice, values: readonly string[]) => (
    <Controller
      control={form.control}
      name={name}
      render={({ field }) => (
        <Select
          label={t(`create.${name}`)}
          data={values.map((value) => ({ value, label: t(`create.${name}_${value || 'usual'}`) }))}
          allowDeselect={false}
          error={errors[name]?.message}
          {...field}
        />
      )}
    />
  );
  return (
    <Stack gap="sm">
      {choice('engine', ['', 'direct', 'terraform'])}
      <Controller
        control={form.control}
        name="node"
        render={({ field }) => (
          <Select
            label={t('column.node')}
            placeholder={t('create.anyNode')}
            clearable
            data={(nodes.data?.nodes ?? []).map((node) => ({
              value: node.name,
              label: node.name,
              disabled: node.status !== 'online',
            }))}
            error={errors.node?.message}
            {...field}
            value={field.value || null}
            onChange={(value) => field.onChange(value ?? '')}
          />
        )}
      />
      {choice('spread', ['', 'preferred', 'required', 'off'])}
      {count > 1 ? choice('policy', ['keep', 'all_or_nothing']) : null}
      <Controller
        control={form.control}
        name="tags"
        render={({ field }) => (
          <TagsInput
            label={t('column.tags')}
            description={t('create.tagsHint')}
            error={errors.tags?.message ?? errors.tags?.find?.((one) => one?.message)?.message}
            {...field}
          />
        )}
      />
      <Textarea
        label={t('field.description')}
        autosize
        minRows={2}
        error={errors.description?.message}
        {...form.register('description')}
      />
      <TextInput
        type="datetime-local"
        label={t('create.expires')}
        error={errors.expires_at?.message}
        {...form.register('expires_at')}
      />
      {expires ? choice('on_expiry', ['stop', 'delete']) : null}
    </Stack>
  );
}
