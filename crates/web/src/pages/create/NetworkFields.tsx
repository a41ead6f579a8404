/** Where the address comes from. */
import { NumberInput, Select, Stack, Text, TextInput } from '@mantine/core';
import { Controller, type UseFormReturn, useWatch } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import { useFormat } from '../../i18n/format';
import { useAddressHolder, useNetworks } from './checks';
import { NETWORKS, type Values } from './values';

export function NetworkFields({ form }: { form: UseFormReturn<Values> }) {
  const { t } = useTranslation();
  const format = useFormat();
  const networks = useNetworks();
  const [net, network, ip_address, count] = useWatch({
    control: form.control,
    name: ['net', 'network', 'ip_address', 'count'],
  });
  const holder = useAddressHolder({ net, ip_address });
  const { errors } = form.formState;
  const name = net === 'default' ? 'default' : net === 'named' ? network : '';
  const pool = networks.data?.networks.find((one) => one.name === name);
  const short = pool !== undefined && pool.free < count;
  return (
    <Stack gap="sm">
      <Controller
        control={form.control}
        name="net"
        render={({ field }) => (
          <Select
            label={t('create.net')}
            data={NETWORKS.map((value) => ({ value, label: t(`create.net_${value}`) }))}
            allowDeselect={false}
            error={errors.net?.message}
            {...field}
          />
        )}
      />
      {net === 'named' ? (
        <Controller
          control={form.control}
          name="network"
          render={({ field }) => (
            <Select
              label={t('create.network')}
              data={(networks.data?.networks ?? []).map((one) => one.name)}
              error={errors.network?.message}
              {...field}
              onChange={(value) => field.onChange(value ?? '')}
            />
          )}
        />
      ) : null}
      {net === 'address' ? (
        <TextInput
          label={t('create.address')}
          placeholder="192.168.0.22"
          error={errors.ip_address?.message ?? (holder ? t('create.addressHeld', { holder }) : undefined)}
          {...form.register('ip_address')}
        />
      ) : null}
      {net === 'range' ? (
        <TextInput
          label={t('create.range')}
          placeholder="192.168.0.21-192.168.0.30"
          error={errors.ip_range?.message}
          {...form.register('ip_range')}
        />
      ) : null}
      {net === 'address' || net === 'range' ? (
        <>
          <Controller
            control={form.control}
            name="subnet"
            render={({ field }) => (
              <NumberInput label={t('create.subnet')} min={1} max={32} error={errors.subnet?.message} {...field} />
            )}
          />
          <TextInput
            label={t('create.gateway')}
            placeholder="192.168.0.1"
            error={errors.gateway?.message}
            {...form.register('gateway')}
          />
        </>
      ) : null}
      {pool ? (
        <Text size="xs" {...(short ? { c: 'var(--tpm-bad)' } : { c: 'dimmed' })} aria-live="polite">
          {t(short ? 'create.poolShort' : 'create.poolFree', {
            range: pool.range,
            free: format.number(pool.free),
            missing: count - pool.free,
          })}
        </Text>
      ) : null}
    </Stack>
  );
}
