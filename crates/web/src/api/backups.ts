/** Backups on the wire. */
import { call } from './call';

export type BackupState = 'pending' | 'completed' | 'failed' | 'missing' | 'deleting';
export const BACKUP_STATES: readonly BackupState[] = ['pending', 'completed', 'failed', 'missing', 'deleting'];
export const MODES = ['snapshot', 'suspend', 'stop'] as const;
export const COMPRESSIONS = ['zstd', 'gzip', 'lzo', 'none'] as const;

export interface Backup {
  id: number;
  server_id: number;
  server_name: string;
  backup_id: string;
  status: BackupState;
  origin: string;
  size_bytes: number | null;
  vmid: number;
  node: string | null;
  storage: string;
  volume: string | null;
  mode: string | null;
  compress: string | null;
  notes: string;
  protected: boolean;
  warnings: string[];
  error: string | null;
  verified_at: string | null;
  verified_by: string | null;
  created_at: string;
  finished_at: string | null;
}

export interface BackupList {
  backups: Backup[];
  total: number;
}

export interface Accepted {
  message: string;
  task_id: string | null;
}

export interface CreateBackup {
  server_id: number;
  mode?: string;
  compress?: string;
  storage?: string;
  notes?: string;
  protected?: boolean;
}

export interface RestoreBackup {
  target_server_id?: number | 'new';
  overwrite?: boolean;
  name?: string;
}

export interface BackupFilter {
  server_id?: number;
  status?: BackupState;
  storage?: string;
  limit: number;
  offset: number;
}

export function listBackups(filter: BackupFilter, signal: AbortSignal): Promise<BackupList> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) query.set(name, String(value));
  return call('GET', `/api/backups?${query.toString()}`, { signal });
}

export function createBackup(body: CreateBackup, once: string): Promise<Accepted> {
  return call('POST', '/api/backups/create', { body, once });
}

export function restoreBackup(id: string, body: RestoreBackup, once: string): Promise<Accepted> {
  return call('POST', `/api/backups/${encodeURIComponent(id)}/restore`, { body, once });
}

/** `confirm` deletes it although it is the only one of its server. */
export function deleteBackup(id: string, confirm: string | null): Promise<Accepted> {
  const query = confirm ? `?confirm=${encodeURIComponent(confirm)}` : '';
  return call('DELETE', `/api/backups/${encodeURIComponent(id)}${query}`);
}
