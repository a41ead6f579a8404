/** What the form for new servers holds, and what is sent of it. */
import type { TFunction } from 'i18next';
import * as z from 'zod';
import type { Schemas } from '../../api/client';
import { isFuture } from '../../ui/forms';

export const MOST = 500;
const LABEL = /^[a-z]([a-z0-9-]*[a-z0-9])?$/;
const ADDRESS = /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_+.-]*$/;

export const NETWORKS = ['default', 'named', 'address', 'range', 'dhcp'] as const;

export function shape(t: TFunction) {
  const whole = (least: number) =>
    z.number({ error: t('form.number') }).int(t('form.whole')).min(least, t('form.atLeast', { least }));
  const address = z.string().trim().regex(ADDRESS, t('form.address'));
  const empty = z.literal('');
  return z
    .object({
      name: z.string().trim().min(1, t('form.required')).max(63, t('form.tooLong', { most: 63 })).regex(LABEL, t('form.label')),
      count: whole(1).max(MOST, t('form.atMost', { most: MOST })),
      role: z.string().trim().min(1, t('form.required')),
      cpu: whole(1),
      memory: whole(1),
      disk_size: whole(1),
      engine: z.enum(['', 'direct', 'terraform']),
      project: z.string(),
      net: z.enum(NETWORKS),
      network: z.string(),
      ip_address: address.or(empty),
      ip_range: z.string().trim(),
      subnet: whole(1).max(32, t('form.atMost', { most: 32 })),
      gateway: address.or(empty),
      node: z.string(),
      spread: z.enum(['', 'preferred', 'required', 'off']),
      tags: z.array(z.string().regex(TAG, t('form.tag')).max(64, t('form.tooLong', { most: 64 }))).max(32, t('form.atMost', { most: 32 })),
      description: z.string().max(2000, t('form.tooLong', { most: 2000 })),
      expires_at: z.string(),
      on_expiry: z.enum(['stop', 'delete']),
      policy: z.enum(['keep', 'all_or_nothing']),
    })
    .superRefine((values, context) => {
      const wrong = (field: string, message: string): void => context.addIssue({ code: 'custom', path: [field], message });
      const many = values.count > 1;
      if (many && serverNames(values.name, values.count).some((name) => name.length > 63)) {
        wrong('name', t('form.tooLong', { most: 63 }));
      }
      if (values.net === 'named' && !values.network) wrong('network', t('form.required'));
      if (values.net === 'address' && !values.ip_address) wrong('ip_address', t('form.required'));
      if (values.net === 'address' && many) wrong('net', t('create.oneAddress'));
      if (values.net === 'range') {
        const [first = '', last = '', ...more] = values.ip_range.split('-').map((part) => part.trim());
        if (more.length > 0 || !ADDRESS.test(first) || !ADDRESS.test(last)) wrong('ip_range', t('form.range'));
      }
      if (values.expires_at && !isFuture(values.expires_at)) wrong('expires_at', t('form.future'));
    });
}

export type Values = z.infer<ReturnType<typeof shape>>;

export const BEGIN: Values = {
  name: '', count: 1, role: 'web', cpu: 2, memory: 4096, disk_size: 50, engine: '', project: '', net: 'default',
  network: '', ip_address: '', ip_range: '', subnet: 24, gateway: '', node: '', spread: '', tags: [], description: '',
  expires_at: '', on_expiry: 'stop', policy: 'keep',
};

export const FIELDS = Object.keys(BEGIN) as (keyof Values)[];

/** `web` and 3 are `web-01`, `web-02`, `web-03`; one keeps its name. */
export function serverNames(name: string, count: number): string[] {
  if (count <= 1) return [name];
  const width = Math.max(2, String(count).length);
  return Array.from({ length: count }, (_, n) => `${name}-${String(n + 1).padStart(width, '0')}`);
}

function network(values: Values): Schemas['NetworkConfig'] | null {
  const { subnet } = values;
  const gateway = values.gateway ? { gateway: values.gateway } : {};
  switch (values.net) {
    case 'named':
      return { network: values.network };
    case 'address':
      return { ip_address: values.ip_address, subnet, ...gateway };
    case 'range':
      return { ip_range: values.ip_range.replace(/\s/g, ''), subnet, ...gateway };
    case 'dhcp':
      return { ip_address: 'dhcp' };
    case 'default':
      return null;
  }
}

function one(values: Values, name: string): Schemas['CreateServer'] {
  const placement = {
    ...(values.node ? { node: values.node } : {}),
    ...(values.spread ? { spread: values.spread } : {}),
  };
  return {
    name,
    role: values.role,
    cpu: values.cpu,
    memory: values.memory,
    disk_size: values.disk_size,
    ...(values.engine ? { engine: values.engine } : {}),
    ...(values.project ? { project: values.project } : {}),
    ...(values.tags.length > 0 ? { tags: values.tags } : {}),
    ...(values.description ? { description: values.description } : {}),
    ...(Object.keys(placement).length > 0 ? { placement } : {}),
    ...(values.expires_at
      ? { expires_at: new Date(values.expires_at).toISOString(), on_expiry: values.on_expiry }
      : {}),
  };
}

export function single(values: Values): Schemas['CreateServer'] {
  const config = network(values);
  const name = serverNames(values.name, values.count)[0] ?? values.name;
  return { ...one(values, name), ...(config ? { network_config: config } : {}) };
}

export function several(values: Values): Schemas['BulkCreate'] {
  const config = network(values);
  return {
    servers: serverNames(values.name, values.count).map((name) => one(values, name)),
    ...(config ? { network_config: config } : {}),
    ...(values.policy === 'all_or_nothing' ? { policy: values.policy } : {}),
  };
}

/** The service's path of a field, as the form calls it. */
export function formField(path: string): string {
  return path.replace(/^servers\[\d+\]\./, '').replace(/^(network_config(\[\d+\])?|placement)\./, '').replace(/\[\d+\]$/, '');
}
