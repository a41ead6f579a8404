/** Things to show on the pages: a small fleet with its history. */
import { API_DOOR, apart, behind, Program } from './stack';

const NAMES = [
  ['web', 'web-server-01'], ['web', 'web-server-02'], ['web', 'web-server-03'], ['was', 'was-server-01'],
  ['was', 'was-server-02'], ['db', 'db-server-01'], ['db', 'db-server-02'],
] as const;

export async function scene(program: Program): Promise<void> {
  await program.ask('POST', '/api/projects', { name: 'shop', description: 'The shop and what it stands on', quota: { servers: 20 } });
  await program.ask('POST', '/api/networks', {
    name: 'office', range: '10.20.0.10-10.20.0.60', prefix: 24, gateway: '10.20.0.1',
  });
  const made = await program.ask<{ task_id: string }>('POST', '/api/servers/bulk-create', {
    servers: NAMES.map(([role, name]) => ({ name, role, cpu: 2, memory: 4096, disk_size: 50, project: 'shop' })),
  });
  await program.ended(made.task_id);
  const { servers } = await program.ask<{ servers: { id: number; name: string; vmid: number }[] }>('GET', '/api/servers?limit=50&sort=name');
  const of = (name: string) => {
    const found = servers.find((server) => server.name === name);
    if (!found) throw new Error(`no ${name}`);
    return found;
  };
  const backup = (name: string, more: object) =>
    program.ask<{ task_id: string }>('POST', '/api/backups/create', { server_id: of(name).id, ...more });
  const tasks = [
    await backup('db-server-01', { notes: 'before the upgrade', protected: true }),
    await backup('db-server-02', {}),
    await program.ask<{ task_id: string }>('PUT', `/api/servers/${String(of('web-server-03').id)}/status`, { status: 'stopped' }),
  ];
  for (const { task_id } of tasks) await program.ended(task_id);
  await apart(program);
  const { backups } = await program.ask<{ backups: { backup_id: string }[] }>('GET', '/api/backups?status=completed');
  for (const { backup_id } of backups) {
    await program.ended((await program.ask<{ task_id: string }>('POST', `/api/backups/${backup_id}/drill`, {})).task_id);
  }
  await program.ask('POST', '/api/backups/schedules', {
    name: 'weekly-drill', calendar: '0 4 * * 0', time_zone: 'Asia/Seoul', target: { role: 'db' }, drill: {}, verified_within_days: 14,
  });
  await program.ask('POST', '/api/backups/schedules', {
    name: 'nightly', calendar: '0 2 * * *', time_zone: 'Asia/Seoul', target: { role: 'db' }, jitter_seconds: 600,
    window_minutes: 240, retention: { keep_last: 3, keep_daily: 7, keep_weekly: 4 }, max_age_hours: 26,
  });
  await program.ask('POST', '/api/notifications/channels', {
    name: 'team-chat', url: `${API_DOOR ?? ''}/hook`, types: ['error', 'warning'], format: 'text', language: 'ko', enabled: true,
  });
  for (const name of ['proxmox', 'shop/database']) await program.ask('POST', `/api/vault/secrets/secret/${name}`, { password: 'x' });
  await program.ask('POST', '/api/users', { username: 'kim', password: 'a-long-password-of-kim', roles: ['operator'] });
  // Somebody takes one away, and changes another.
  await behind(`/guests/${String(of('was-server-02').vmid)}/destroy`);
  await behind(`/guests/${String(of('web-server-01').vmid)}/option`, { key: 'memory', value: '8192' });
  await program.until('GET', `/api/servers/${String(of('was-server-02').id)}`, (server: { status: string }) => server.status === 'missing');
  await program.until('GET', `/api/servers/${String(of('web-server-01').id)}`, (server: { drift: unknown[] }) => server.drift.length > 0);
}
