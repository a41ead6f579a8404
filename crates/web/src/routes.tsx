/** Which page stands where. Every page is a file of its own that is fetched when it is gone to. */
import { type ComponentType, lazy } from 'react';
import { createBrowserRouter } from 'react-router';
import { SessionGate } from './session/Session';
import { NotFound } from './shell/NotFound';
import { Shell } from './shell/Shell';

type Module = Promise<{ default: ComponentType }>;

function page(path: string, load: () => Module) {
  return { path, Component: lazy(load) };
}

function Root() {
  return (
    <SessionGate>
      <Shell />
    </SessionGate>
  );
}

export const router = createBrowserRouter([
  {
    Component: Root,
    children: [
      page('/', () => import('./pages/overview/OverviewPage')),
      page('/servers', () => import('./pages/servers/ServersPage')),
      page('/servers/new', () => import('./pages/create/CreatePage')),
      page('/servers/import', () => import('./pages/create/ImportPage')),
      page('/servers/:id', () => import('./pages/server/ServerPage')),
      page('/servers/:id/edit', () => import('./pages/server/EditPage')),
      page('/tasks', () => import('./pages/tasks/TasksPage')),
      page('/tasks/:id', () => import('./pages/tasks/TaskPage')),
      page('/backups', () => import('./pages/backups/BackupsPage')),
      page('/monitoring', () => import('./pages/monitoring/MonitoringPage')),
      page('/notifications', () => import('./pages/notifications/NotificationsPage')),
      page('/nodes', () => import('./pages/nodes/NodesPage')),
      page('/networks', () => import('./pages/networks/NetworksPage')),
      page('/networks/:id', () => import('./pages/networks/NetworkPage')),
      page('/projects', () => import('./pages/projects/ProjectsPage')),
      page('/secrets', () => import('./pages/secrets/SecretsPage')),
      page('/access', () => import('./pages/access/AccessPage')),
      page('/account', () => import('./pages/account/AccountPage')),
      page('/audit', () => import('./pages/audit/AuditPage')),
      page('/system', () => import('./pages/system/SystemPage')),
      { path: '*', Component: NotFound },
    ],
  },
]);
