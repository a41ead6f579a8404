/** What a schedule's form holds, what is wrong with it, and how it is said to the service. */
import type { TFunction } from 'i18next';
import * as z from 'zod';
import { COMPRESSIONS, MODES } from '../../api/backups';
import type { Schemas } from '../../api/client';
import { KEEPS, type Schedule } from '../../api/schedules';
import { requestOf, type Wish, WISHES, wishField, wishOf, wishRules } from './drill';

export const WAYS = ['all', 'server_ids', 'role', 'tag'] as const;
/** Backups are made, or the newest ones are tried. */
export const WHATS = ['backup', 'drill'] as const;
export type What = (typeof WHATS)[number];
type Keep = (typeof KEEPS)[number];
/** What a field for numbers holds while one types. */
type Count = number | string;

/** Their least and most, by the service's document. */
export const BOUNDS = {
  jitter_seconds: [0, 86_400],
  window_minutes: [1, 10_080],
  max_age_hours: [1, 87_600],
  verified_within_days: [1, 3650],
  max_per_node: [1, 100],
  max_per_storage: [1, 100],
} as const;
export type Bound = keyof typeof BOUNDS;
const MOST_KEPT = 10_000;
const MOST_SERVERS = 1000;

export type Values = {
  name: string;
  enabled: boolean;
  what: What;
  drill: Wish;
  calendar: string;
  time_zone: string;
  way: (typeof WAYS)[number];
  server_ids: number[];
  role: string;
  tag: string;
  project_id: string;
  mode: '' | (typeof MODES)[number];
  compress: '' | (typeof COMPRESSIONS)[number];
  storage: string;
  notes: string;
  retention: Record<Keep, Count>;
} & Record<Bound, Count>;

const COMMON = [
  'name', 'enabled', 'what', 'calendar', 'time_zone', 'way', 'server_ids', 'role', 'tag', 'project_id', 'jitter_seconds',
  'window_minutes', 'max_age_hours', 'verified_within_days', 'max_per_node',
] as const;
/** Those that are there, by what is done. */
export const FIELDS = {
  backup: [
    ...COMMON, 'mode', 'compress', 'storage', 'notes', 'max_per_storage',
    ...KEEPS.map((keep) => `retention.${keep}` as const),
  ],
  drill: [...COMMON, 'drill.goal', 'drill.command'],
} as const;

/** The form's field for one of the service's. */
export function fieldOf(said: string): string {
  if (said === 'target' || said === 'target.all') return 'way';
  if (said === 'drill') return 'what';
  if (said.startsWith('drill.')) return wishField(said);
  return said.replace(/^target\./, '').replace(/\[\d+\]$/, '');
}

function whole(t: TFunction, [least, most]: readonly [number, number]) {
  return z.union([z.number(), z.string()]).superRefine((value, context) => {
    const wrong = (message: string): void => context.addIssue({ code: 'custom', message });
    if (value === '') return;
    if (typeof value === 'string') wrong(t('form.number'));
    else if (!Number.isInteger(value)) wrong(t('form.whole'));
    else if (value < least) wrong(t('form.atLeast', { least }));
    else if (value > most) wrong(t('form.atMost', { most }));
  });
}

/**
 * `made`: whether there is one already, whose storage cannot become none. What is not there, as it does not matter for
 * what is done, is not looked at.
 */
export function rules(t: TFunction, made: boolean, what: What) {
  const makes = what === 'backup';
  const bound = (name: Bound) => whole(t, BOUNDS[name]);
  const keep = makes ? whole(t, [0, MOST_KEPT]) : z.union([z.number(), z.string()]);
  const wish = z.object({ goal: z.enum(WISHES), command: z.string() });
  const notes = z
    .string()
    .max(200, t('form.tooLong', { most: 200 }))
    .regex(/^([^\\{\n]|\{(?!\{))*$/, t('backup.notesRule'));
  return z
    .object({
      name: z
        .string()
        .trim()
        .min(1, t('form.required'))
        .max(63, t('form.tooLong', { most: 63 }))
        .regex(/^[a-z]([a-z0-9-]*[a-z0-9])?$/, t('form.label')),
      enabled: z.boolean(),
      what: z.enum(WHATS),
      drill: makes ? wish : wishRules(t),
      calendar: z
        .string()
        .trim()
        .min(1, t('form.required'))
        .regex(/^(@\w+|\S+(\s+\S+){4})$/, t('schedule.calendarRule')),
      time_zone: z.string().trim().min(1, t('form.required')),
      way: z.enum(WAYS),
      server_ids: z.array(z.number()),
      role: z.string().trim(),
      tag: z.string().trim(),
      project_id: z.string(),
      mode: z.enum(['', ...MODES]),
      compress: z.enum(['', ...COMPRESSIONS]),
      storage: z
        .string()
        .trim()
        .min(made && makes ? 1 : 0, t('form.required')),
      notes: makes ? notes : z.string(),
      retention: z.object({
        keep_last: keep, keep_hourly: keep, keep_daily: keep, keep_weekly: keep, keep_monthly: keep, keep_yearly: keep,
      }),
      jitter_seconds: bound('jitter_seconds'),
      window_minutes: bound('window_minutes'),
      max_age_hours: bound('max_age_hours'),
      verified_within_days: bound('verified_within_days'),
      max_per_node: bound('max_per_node'),
      max_per_storage: makes ? bound('max_per_storage') : z.union([z.number(), z.string()]),
    })
    .superRefine((values, context) => {
      const wrong = (field: keyof Values, message: string): void =>
        context.addIssue({ code: 'custom', path: [field], message });
      if (values.way === 'server_ids') {
        if (values.server_ids.length === 0) wrong('server_ids', t('schedule.oneServer'));
        if (values.server_ids.length > MOST_SERVERS) wrong('server_ids', t('form.atMost', { most: MOST_SERVERS }));
      }
      if (values.way === 'role' && values.role === '') wrong('role', t('form.required'));
      if (values.way === 'tag' && !/^[A-Za-z0-9_][A-Za-z0-9_+.-]*$/.test(values.tag)) {
        wrong('tag', t(values.tag === '' ? 'form.required' : 'form.tag'));
      }
      const { jitter_seconds: jitter, window_minutes: window } = values;
      if (typeof jitter === 'number' && typeof window === 'number' && jitter > window * 60) {
        wrong('jitter_seconds', t('schedule.jitterInWindow', { most: window * 60 }));
      }
    });
}

export function valuesOf(schedule: Schedule | null): Values {
  const target = schedule?.target ?? { all: true };
  const kept = schedule?.retention;
  // What is not kept by a rule is an empty field, as is a bound that there is not.
  const shown = (keep: Keep): Count => kept?.[keep] || '';
  return {
    name: schedule?.name ?? '',
    enabled: schedule?.enabled ?? true,
    what: schedule?.drill ? 'drill' : 'backup',
    drill: wishOf(schedule?.drill ?? null),
    calendar: schedule?.calendar ?? '0 2 * * *',
    time_zone: schedule?.time_zone ?? new Intl.DateTimeFormat().resolvedOptions().timeZone,
    way: WAYS.find((way) => target[way] !== undefined) ?? 'all',
    server_ids: target.server_ids ?? [],
    role: target.role ?? '',
    tag: target.tag ?? '',
    project_id: schedule?.project_id ? String(schedule.project_id) : '',
    mode: schedule?.mode ?? '',
    compress: schedule?.compress ?? '',
    storage: schedule?.storage ?? '',
    notes: schedule?.notes ?? '',
    retention: {
      keep_last: shown('keep_last'),
      keep_hourly: shown('keep_hourly'),
      keep_daily: shown('keep_daily'),
      keep_weekly: shown('keep_weekly'),
      keep_monthly: shown('keep_monthly'),
      keep_yearly: shown('keep_yearly'),
    },
    jitter_seconds: schedule?.jitter_seconds || '',
    window_minutes: schedule?.window_minutes ?? '',
    max_age_hours: schedule?.max_age_hours ?? '',
    verified_within_days: schedule?.verified_within_days ?? '',
    max_per_node: schedule?.max_per_node ?? '',
    max_per_storage: schedule?.max_per_storage ?? '',
  };
}

function targetOf({ way, server_ids, role, tag }: Values): Schemas['ScheduleTarget'] {
  if (way === 'server_ids') return { server_ids };
  if (way === 'role') return { role };
  return way === 'tag' ? { tag } : { all: true };
}

const number = (count: Count): number | null => (typeof count === 'number' ? count : null);

/** How backups are made and kept; a schedule of drills keeps what there was of it. */
function makingOf({ mode, compress, storage, notes, retention, max_per_storage }: Values): Partial<Schemas['CreateSchedule']> {
  return {
    notes,
    ...(mode ? { mode } : {}),
    ...(compress ? { compress } : {}),
    ...(storage ? { storage } : {}),
    retention: Object.fromEntries(KEEPS.map((keep) => [keep, number(retention[keep]) ?? 0])),
    max_per_storage: number(max_per_storage),
  };
}

/** `before`: what there was. */
export function bodyOf(values: Values, before: Schedule | null): Schemas['CreateSchedule'] {
  const { name, enabled, what, calendar, time_zone } = values;
  return {
    name, enabled, calendar, time_zone,
    target: targetOf(values),
    project_id: values.project_id ? Number(values.project_id) : null,
    drill: what === 'drill' ? requestOf(values.drill, before?.drill ?? null) : null,
    ...(what === 'backup' ? makingOf(values) : {}),
    jitter_seconds: number(values.jitter_seconds) ?? 0,
    window_minutes: number(values.window_minutes),
    max_age_hours: number(values.max_age_hours),
    verified_within_days: number(values.verified_within_days),
    max_per_node: number(values.max_per_node),
  };
}
