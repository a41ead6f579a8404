/** A network that is made or changed. */
import { NumberInput, TagsInput, TextInput } from '@mantine/core';
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

interface Values {
  name: string;
  range: string;
  prefix: number;
  gateway: string;
  dns: string[];
  bridge: string;
  vlan: number | '';
  exclusions: string[];
}
const FIELDS = ['name', 'range', 'prefix', 'gateway', 'dns', 'bridge', 'vlan', 'exclusions'] as const;

export function NetworkForm({ network, onClose }: { network: Schemas['NetworkInList'] | null; onClose: () => void }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [rest, setRest] = useState<string[]>([]);
  const resolver = useMemo(
    () =>
      zodResolver(
        z.object({
          name: z.string().trim().min(1, t('form.required')).regex(/^[a-z]([a-z0-9-]*[a-z0-9])?$/, t('form.label')),
          range: z.string().trim().regex(/^[\d.]+\s*-\s*[\d.]+$/, t('form.range')),
          prefix: z.number({ error: t('form.number') }).int(t('form.whole')).min(1, t('form.atLeast', { least: 1 })).max(32, t('form.atMost', { most: 32 })),
          gateway: z.string().trim(),
          dns: z.array(z.string()),
          bridge: z.string().trim().max(15, t('form.tooLong', { most: 15 })),
          vlan: z.union([z.number().int(t('form.whole')), z.literal('')], { error: t('form.number') }),
          exclusions: z.array(z.string()),
        }),
      ),
    [t],
  );
  const form = useForm<Values>({
    resolver,
    defaultValues: {
      name: network?.name ?? '',
      range: network?.range ?? '',
      prefix: network?.prefix ?? 24,
      gateway: network?.gateway ?? '',
      dns: network?.dns ?? [],
      bridge: network?.bridge ?? '',
      vlan: network?.vlan ?? '',
      exclusions: network?.exclusions ?? [],
    },
  });
  const save = useMutation({
    mutationFn: async (values: Values) => {
      const body = {
        name: values.name,
        range: values.range.replace(/\s/g, ''),
        prefix: values.prefix,
        gateway: values.gateway || null,
        dns: values.dns,
        ...(values.bridge ? { bridge: values.bridge } : {}),
        vlan: typeof values.vlan === 'number' ? values.vlan : null,
        exclusions: values.exclusions,
      };
      if (network) {
        await ask(api.PATCH('/api/networks/{network_id}', { params: { path: { network_id: network.id } }, body }));
        return t('network.saved');
      }
      const params = { header: { 'Idempotency-Key': onceKey() } };
      return (await ask(api.POST('/api/networks', { params, body }))).message;
    },
    onSuccess: (message) => {
      notifications.show({ message });
      void cache.invalidateQueries({ queryKey: keys.networks });
      onClose();
    },
    onError: (error) => setRest(placeFaults(error, form.setError, FIELDS, (field) => field.replace(/\[\d+\]$/, ''))),
  });
  const { errors } = form.formState;
  const text = (name: 'name' | 'range' | 'gateway' | 'bridge', label: string, placeholder: string, needed = false) => (
    <TextInput label={label} withAsterisk={needed} placeholder={placeholder} error={errors[name]?.message} {...form.register(name)} />
  );
  const tags = (name: 'dns' | 'exclusions', label: string, placeholder: string) => (
    <Controller
      control={form.control}
      name={name}
      render={({ field }) => <TagsInput label={label} placeholder={placeholder} error={errors[name]?.message} {...field} />}
    />
  );
  return (
    <FormModal
      title={network ? t('network.editOf', { name: network.name }) : t('network.new')}
      onClose={onClose}
      onSubmit={(event) => void form.handleSubmit((values) => save.mutate(values))(event)}
      pending={save.isPending}
      error={save.error}
      rest={rest}
      action={t('action.save')}
    >
      {text('name', t('column.name'), 'office', true)}
      {text('range', t('network.range'), '192.168.0.21-192.168.0.99', true)}
      <Controller
        control={form.control}
        name="prefix"
        render={({ field }) => <NumberInput label={t('network.prefix')} min={1} max={32} error={errors.prefix?.message} {...field} />}
      />
      {text('gateway', t('network.gateway'), '192.168.0.1')}
      {tags('dns', t('network.dns'), '192.168.0.53')}
      {text('bridge', t('network.bridge'), 'vmbr0')}
      <Controller
        control={form.control}
        name="vlan"
        render={({ field }) => <NumberInput label="VLAN" min={1} max={4094} error={errors.vlan?.message} {...field} />}
      />
      {tags('exclusions', t('network.exclusions'), '192.168.0.30-192.168.0.39')}
    </FormModal>
  );
}
