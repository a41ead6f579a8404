/**
 * What somebody may do, as far as the page can tell. The service tells what is allowed everywhere; what a role allows on
 * one project it decides itself, and a page that was offered in vain says so.
 */
import type { Schemas } from '../api/client';
import type { Permission } from './context';

/** What can be allowed on a project, and not only everywhere. */
const ON_PROJECTS: readonly Permission[] = [
  'servers:read', 'servers:write', 'tasks:read', 'tasks:write', 'notifications:read', 'projects:read', 'monitoring:read',
  'backups:read', 'backups:write',
];

export function may(me: Schemas['Me'], permission: Permission): boolean {
  if (me.permissions.some((one) => one === permission)) return true;
  if (!ON_PROJECTS.includes(permission)) return false;
  const roles = me.roles.filter((one) => one.project !== null).map((one) => one.role);
  return permission.endsWith(':read') ? roles.length > 0 : roles.some((role) => role !== 'viewer');
}
