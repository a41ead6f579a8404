/** Backups on the wire. */
import { api, ask, type Schemas } from './client';

export type Backup = Schemas['Backup'];
type State = Schemas['BackupStateWord'];

export const BACKUP_STATES = ['pending', 'completed', 'failed', 'missing', 'deleting'] as const satisfies readonly State[];
export const MODES = ['snapshot', 'suspend', 'stop'] as const satisfies readonly Schemas['BackupModeWord'][];
export const COMPRESSIONS = ['zstd', 'gzip', 'lzo', 'none'] as const satisfies readonly Schemas['CompressionWord'][];

export interface BackupFilter {
  server_id?: number;
  status?: State;
  storage?: string;
  limit: number;
  offset: number;
}

export function listBackups(query: BackupFilter, signal: AbortSignal) {
  return ask(api.GET('/api/backups', { params: { query }, signal }));
}

export function createBackup(body: Schemas['CreateBackup'], once: string) {
  return ask(api.POST('/api/backups/create', { params: { header: { 'Idempotency-Key': once } }, body }));
}

export function restoreBackup(backup_id: string, body: Schemas['RestoreBackup'], once: string) {
  const params = { path: { backup_id }, header: { 'Idempotency-Key': once } };
  return ask(api.POST('/api/backups/{backup_id}/restore', { params, body }));
}

/** `confirm` deletes it although it is the only one of its server. */
export function deleteBackup(backup_id: string, confirm: string | null) {
  const params = { path: { backup_id }, query: confirm ? { confirm } : {} };
  return ask(api.DELETE('/api/backups/{backup_id}', { params }));
}
