/** What may be allowed, and what of it one has oneself. */
import type { Schemas } from '../../api/client';

export const PERMISSIONS: readonly Schemas['PermissionWord'][] = [
  'servers:read', 'servers:write', 'tasks:read', 'tasks:write', 'notifications:read', 'notifications:write',
  'projects:read', 'projects:write', 'networks:read', 'networks:write', 'system:read', 'system:write',
  'monitoring:read', 'monitoring:write', 'config:read', 'logs:read', 'users:read', 'users:write', 'audit:read',
];

/** Scopes as a form holds them: texts. */
export function scopes(texts: readonly string[]): Schemas['Scope'][] {
  return texts as Schemas['Scope'][];
}
