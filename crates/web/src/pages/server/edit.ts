/** What is different in an edited server, and what is sent of it. */
import type { TFunction } from 'i18next';
import * as z from 'zod';
import type { Schemas } from '../../api/client';
import { isFuture } from '../../ui/forms';

export interface EditValues {
  cpu: number;
  memory: number;
  disk_size: number;
  project: string;
  tags: string[];
  description: string;
  expires_at: string;
  on_expiry: 'stop' | 'delete';
  confirm: string;
}

/** As a field for local time wants it. */
export function local(text: string | null): string {
  if (!text) return '';
  const at = new Date(text);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export function startOf(server: Schemas['Server']): EditValues {
  return {
    cpu: server.cpu,
    memory: server.memory,
    disk_size: server.disk_size,
    project: server.project,
    tags: server.tags ?? [],
    description: server.description ?? '',
    expires_at: local(server.expires_at),
    on_expiry: server.on_expiry ?? 'stop',
    confirm: '',
  };
}

export function editShape(t: TFunction, server: Schemas['Server']) {
  const whole = (least: number, message = t('form.atLeast', { least })) =>
    z.number({ error: t('form.number') }).int(t('form.whole')).min(least, message);
  return z.object({
    cpu: whole(1),
    memory: whole(1),
    disk_size: whole(server.disk_size, t('server.diskGrows', { size: server.disk_size })),
    project: z.string(),
    tags: z.array(z.string()).max(32, t('form.atMost', { most: 32 })),
    description: z.string().max(2000, t('form.tooLong', { most: 2000 })),
    expires_at: z
      .string()
      .refine((text) => !text || text === local(server.expires_at) || isFuture(text), t('form.future')),
    on_expiry: z.enum(['stop', 'delete']),
    confirm: z.string(),
  });
}

interface Change {
  field: string;
  label: string;
  before: string;
  after: string;
}

export function changes(server: Schemas['Server'], values: EditValues): Change[] {
  const before = startOf(server);
  const rows: [keyof EditValues, string][] = [
    ['cpu', 'create.cpu'],
    ['memory', 'create.memory'],
    ['disk_size', 'create.disk'],
    ['project', 'column.project'],
    ['tags', 'column.tags'],
    ['description', 'field.description'],
    ['expires_at', 'create.expires'],
    ['on_expiry', 'create.on_expiry'],
  ];
  return rows
    .filter(([field]) => field !== 'on_expiry' || values.expires_at !== '')
    .map(([field, label]) => ({ field, label, before: text(before[field]), after: text(values[field]) }))
    .filter((change) => change.before !== change.after);
}

function text(value: string | number | readonly string[]): string {
  return typeof value === 'object' ? value.join(', ') : String(value);
}

/** Only what is different; what is not said stays as it is. */
export function patch(server: Schemas['Server'], values: EditValues): Schemas['ChangeServer'] {
  const fields = new Set(changes(server, values).map((change) => change.field));
  const body: Schemas['ChangeServer'] = {};
  if (fields.has('cpu')) body.cpu = values.cpu;
  if (fields.has('memory')) body.memory = values.memory;
  if (fields.has('disk_size')) body.disk_size = values.disk_size;
  if (fields.has('project')) body.project = values.project;
  if (fields.has('tags')) body.tags = values.tags;
  if (fields.has('description')) body.description = values.description;
  if (fields.has('expires_at')) body.expires_at = values.expires_at ? new Date(values.expires_at).toISOString() : null;
  if (fields.has('on_expiry') || (fields.has('expires_at') && values.expires_at)) body.on_expiry = values.on_expiry;
  if (values.confirm) body.confirm = values.confirm;
  return body;
}
