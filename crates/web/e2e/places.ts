/** Every page there is, with things to show on it. */
import type { Program } from './stack';

export async function pagePaths(program: Program): Promise<string[]> {
  const { servers } = await program.ask<{ servers: { id: number }[] }>('GET', '/api/servers?status=running&limit=1');
  const { tasks } = await program.ask<{ tasks: { task_id: string }[] }>('GET', '/api/tasks?limit=1');
  const { networks } = await program.ask<{ networks: { id: number }[] }>('GET', '/api/networks');
  const server = servers[0] ? [`/servers/${String(servers[0].id)}`] : [];
  const one = server.flatMap((path) => [path, `${path}?tab=drift`, `${path}?tab=backups`, `${path}?tab=tasks`, `${path}?tab=audit`, `${path}/edit`]);
  return [
    '/', '/servers', '/servers/new', '/servers/import', ...one,
    '/tasks', ...tasks.map((task) => `/tasks/${task.task_id}`),
    '/monitoring', '/monitoring?tab=targets', '/monitoring?tab=alerts', '/notifications', '/nodes',
    '/networks', ...networks.slice(0, 1).map((network) => `/networks/${String(network.id)}`),
    '/projects', '/access', '/access?tab=roles', '/account', '/audit',
    '/system', '/system?tab=logs', '/system?tab=config',
    '/backups', '/backups?tab=schedules', '/backups?tab=drills', '/notifications?tab=channels', '/secrets', '/no-such-page',
  ];
}
