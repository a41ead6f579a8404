/** Takes over a guest that others made, as it is. */
import { Button, Group, NumberInput, Select, Stack, Text, TextInput } from '@mantine/core';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Controller, useForm } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import * as z from 'zod';
import { api, ask, onceKey } from '../../api/client';
import { FormFault } from '../../ui/FormFault';
import { placeFaults } from '../../ui/forms';
import { Card, Page } from '../../ui/Page';

export default function ImportPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [rest, setRest] = useState<string[]>([]);
  const resolver = useMemo(
    () =>
      zodResolver(
        z.object({
          vmid: z.number({ error: t('form.number') }).int(t('form.whole')).min(100, t('form.atLeast', { least: 100 })),
          name: z.string().trim().max(63, t('form.tooLong', { most: 63 })),
          role: z.string().trim(),
          engine: z.enum(['', 'direct', 'terraform']),
        }),
      ),
    [t],
  );
  type Values = { vmid: number; name: string; role: string; engine: '' | 'direct' | 'terraform' };
  const form = useForm<Values>({ resolver, defaultValues: { name: '', role: '', engine: '' } });
  const take = useMutation({
    mutationFn: (values: Values) =>
      ask(
        api.POST('/api/servers/import', {
          params: { header: { 'Idempotency-Key': onceKey() } },
          body: {
            vmid: values.vmid,
            ...(values.name ? { name: values.name } : {}),
            ...(values.role ? { role: values.role } : {}),
            ...(values.engine ? { engine: values.engine } : {}),
          },
        }),
      ),
    onSuccess: (answer) => void navigate(`/tasks/${answer.task_id}`),
    onError: (error) => setRest(placeFaults(error, form.setError, ['vmid', 'name', 'role', 'engine'])),
  });
  const { errors } = form.formState;
  return (
    <Page title={t('nav.import')}>
      <Card>
        <form noValidate onSubmit={form.handleSubmit((values) => take.mutate(values))}>
          <Stack maw={420} gap="sm">
            <Text size="sm">{t('import.lead')}</Text>
            <Controller
              control={form.control}
              name="vmid"
              render={({ field }) => (
                <NumberInput label={t('column.vmid')} withAsterisk min={100} error={errors.vmid?.message} {...field} />
              )}
            />
            <TextInput label={t('column.name')} description={t('import.name')} error={errors.name?.message} {...form.register('name')} />
            <TextInput label={t('column.role')} error={errors.role?.message} {...form.register('role')} />
            <Controller
              control={form.control}
              name="engine"
              render={({ field }) => (
                <Select
                  label={t('column.engine')}
                  allowDeselect={false}
                  data={['', 'direct', 'terraform'].map((value) => ({ value, label: t(`create.engine_${value || 'usual'}`) }))}
                  error={errors.engine?.message}
                  {...field}
                />
              )}
            />
            <FormFault error={take.error} rest={rest} />
            <Group>
              <Button type="submit" loading={take.isPending}>
                {t('import.submit')}
              </Button>
            </Group>
          </Stack>
        </form>
      </Card>
    </Page>
  );
}
