/** Who is logged in, for whoever asks. */
import { createContext, useContext } from 'react';
import type { Schemas } from '../api/client';

/** With those of routes that a service may not have yet: nobody has them there. */
export type Permission = Schemas['PermissionWord'] | 'backups:read' | 'backups:write';

export interface Session {
  me: Schemas['Me'];
  can: (permission: Permission) => boolean;
}

export const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error('nobody is logged in here');
  return session;
}

export function useCan(permission: Permission): boolean {
  return useSession().can(permission);
}
