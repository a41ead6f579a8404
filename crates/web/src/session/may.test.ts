import { describe, expect, it } from 'vitest';
import type { Schemas } from '../api/client';
import { ME } from '../testing/draw';
import { may } from './may';

function person(permissions: Schemas['PermissionWord'][], roles: Schemas['UserRole'][]): Schemas['Me'] {
  return { ...ME, permissions, roles };
}

describe('may', () => {
  it('goes by what is allowed everywhere', () => {
    const viewer = person(['servers:read'], [{ role: 'viewer', project: null }]);
    expect(may(viewer, 'servers:read')).toBe(true);
    expect(may(viewer, 'servers:write')).toBe(false);
    expect(may(viewer, 'backups:read')).toBe(false);
  });

  it('offers what a role on a project may allow', () => {
    const operator = person([], [{ role: 'operator', project: 'red' }]);
    expect(may(operator, 'servers:write')).toBe(true);
    expect(may(operator, 'audit:read')).toBe(false);
    const viewer = person([], [{ role: 'viewer', project: 'red' }]);
    expect(may(viewer, 'tasks:read')).toBe(true);
    expect(may(viewer, 'servers:write')).toBe(false);
  });
});
