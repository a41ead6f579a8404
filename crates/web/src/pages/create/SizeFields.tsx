/** Name, count, role and size. */
import { Autocomplete, NumberInput, Select, Stack, Text, TextInput } from '@mantine/core';
import { Controller, type UseFormReturn, useWatch } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import { useFormat } from '../../i18n/format';
import { MOST, serverNames, type Values } from './values';

const ROLES = ['web', 'was', 'db'];

export function SizeFields({ form, projects }: { form: UseFormReturn<Values>; projects: readonly string[] }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { errors } = form.formState;
  const [name, count, memory] = useWatch({ control: form.control, name: ['name', 'count', 'memory'] });
  const names = name && count > 1 && count <= MOST ? serverNames(name, count) : [];
  return (
    <Stack gap="sm">
      <TextInput
        label={t('column.name')}
        withAsterisk
        autoComplete="off"
        spellCheck={false}
        error={errors.name?.message}
        description={names.length > 0 ? `${names[0] ?? ''} … ${names.at(-1) ?? ''}` : t('create.nameHint')}
        {...form.register('name')}
      />
      <div className="grid-fields">
        <Controller
          control={form.control}
          name="count"
          render={({ field }) => (
            <NumberInput label={t('create.count')} min={1} max={MOST} error={errors.count?.message} {...field} />
          )}
        />
        <Controller
          control={form.control}
          name="role"
          render={({ field }) => (
            <Autocomplete label={t('column.role')} data={ROLES} error={errors.role?.message} {...field} />
          )}
        />
        <Controller
          control={form.control}
          name="cpu"
          render={({ field }) => <NumberInput label={t('create.cpu')} min={1} error={errors.cpu?.message} {...field} />}
        />
        <Controller
          control={form.control}
          name="memory"
          render={({ field }) => (
            <NumberInput label={t('create.memory')} min={1} step={1024} error={errors.memory?.message} {...field} />
          )}
        />
        <Controller
          control={form.control}
          name="disk_size"
          render={({ field }) => (
            <NumberInput label={t('create.disk')} min={1} step={10} error={errors.disk_size?.message} {...field} />
          )}
        />
        <Controller
          control={form.control}
          name="project"
          render={({ field }) => (
            <Select
              label={t('column.project')}
              placeholder="default"
              data={projects}
              clearable
              error={errors.project?.message}
              {...field}
              value={field.value || null}
              onChange={(value) => field.onChange(value ?? '')}
            />
          )}
        />
      </div>
      {Number.isFinite(memory) && memory > 0 ? (
        <Text size="xs" c="dimmed">
          {t('create.memoryIs', { memory: format.memory(memory) })}
        </Text>
      ) : null}
    </Stack>
  );
}
