/** Restore drills on the wire. */
import { api, ask, type Schemas } from './client';

export type Drill = Schemas['Drill'];
type State = Schemas['DrillStateWord'];

export const DRILL_STATES = ['running', 'passed', 'failed', 'cancelled'] as const satisfies readonly State[];
export const GOALS = ['started', 'agent', 'address'] as const satisfies readonly Schemas['DrillGoalWord'][];

interface DrillFilter {
  status?: State;
  limit: number;
  offset: number;
}

export function listDrills(query: DrillFilter, signal: AbortSignal) {
  return ask(api.GET('/api/backups/drills', { params: { query }, signal }));
}

export function getDrill(drill_id: string, signal: AbortSignal) {
  return ask(api.GET('/api/backups/drills/{drill_id}', { params: { path: { drill_id } }, signal }));
}

export function drillBackup(backup_id: string, body: Schemas['DrillRequest'], once: string) {
  const params = { path: { backup_id }, header: { 'Idempotency-Key': once } };
  return ask(api.POST('/api/backups/{backup_id}/drill', { params, body }));
}
