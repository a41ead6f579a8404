/** The pages, who may see them, and their letters after `g`. */
import {
  IconActivity, IconArchive, IconBell, IconCpu, IconHistory, IconKey, IconLayoutDashboard, IconListCheck,
  IconNetwork, IconServer, IconServer2, IconSettings, IconUsers, type TablerIcon,
} from '@tabler/icons-react';
import type { Permission } from '../session/context';

export interface Place {
  path: string;
  /** Its name, as a key of texts. */
  name: string;
  icon: TablerIcon;
  needs: Permission | null;
  letter: string;
}

export const PLACES: readonly Place[] = [
  { path: '/', name: 'nav.overview', icon: IconLayoutDashboard, needs: null, letter: 'o' },
  { path: '/servers', name: 'nav.servers', icon: IconServer, needs: 'servers:read', letter: 's' },
  { path: '/tasks', name: 'nav.tasks', icon: IconListCheck, needs: 'tasks:read', letter: 't' },
  { path: '/backups', name: 'nav.backups', icon: IconArchive, needs: 'backups:read', letter: 'b' },
  { path: '/monitoring', name: 'nav.monitoring', icon: IconActivity, needs: 'monitoring:read', letter: 'm' },
  { path: '/notifications', name: 'nav.notifications', icon: IconBell, needs: 'notifications:read', letter: 'n' },
  { path: '/nodes', name: 'nav.nodes', icon: IconServer2, needs: 'servers:read', letter: 'd' },
  { path: '/networks', name: 'nav.networks', icon: IconNetwork, needs: 'networks:read', letter: 'w' },
  { path: '/projects', name: 'nav.projects', icon: IconCpu, needs: 'projects:read', letter: 'p' },
  { path: '/secrets', name: 'nav.secrets', icon: IconKey, needs: 'secrets:read', letter: 'e' },
  { path: '/access', name: 'nav.access', icon: IconUsers, needs: 'users:read', letter: 'u' },
  { path: '/audit', name: 'nav.audit', icon: IconHistory, needs: 'audit:read', letter: 'a' },
  { path: '/system', name: 'nav.system', icon: IconSettings, needs: 'system:read', letter: 'y' },
];
