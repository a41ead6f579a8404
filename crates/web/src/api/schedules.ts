/** Schedules of backups on the wire, and what their retention keeps. */
import { api, ask, onceKey, type Schemas } from './client';

export type Schedule = Schemas['Schedule'];
export type PrunedBackup = Schemas['PrunedBackup'];

/** In the order in which they are taken. */
export const KEEPS = [
  'keep_last', 'keep_hourly', 'keep_daily', 'keep_weekly', 'keep_monthly', 'keep_yearly',
] as const satisfies readonly (keyof Schemas['KeptBackups'])[];

export function listSchedules(signal: AbortSignal) {
  return ask(api.GET('/api/backups/schedules', { signal }));
}

export function createSchedule(body: Schemas['CreateSchedule'], once: string) {
  return ask(api.POST('/api/backups/schedules', { params: { header: { 'Idempotency-Key': once } }, body }));
}

export function changeSchedule(schedule_id: number, body: Schemas['ChangeSchedule']) {
  return ask(api.PATCH('/api/backups/schedules/{schedule_id}', { params: { path: { schedule_id } }, body }));
}

export function deleteSchedule(schedule_id: number) {
  return ask(api.DELETE('/api/backups/schedules/{schedule_id}', { params: { path: { schedule_id } }, body: {} }));
}

export function runSchedule(schedule_id: number) {
  const params = { path: { schedule_id }, header: { 'Idempotency-Key': onceKey() } };
  return ask(api.POST('/api/backups/schedules/{schedule_id}/run', { params, body: {} }));
}

/** By the schedule's own rules; `dry_run` only tells what would go. */
export function pruneSchedule(schedule_id: number, dry_run: boolean, signal?: AbortSignal) {
  const params = { query: { dry_run: dry_run ? ('true' as const) : ('false' as const) } };
  return ask(api.POST('/api/backups/prune', { params, body: { schedule_id }, ...(signal ? { signal } : {}) }));
}
