import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { draw, faultOfField } from '../../testing/draw';
import { refusal, service, wrongFields } from '../../testing/service';
import CreatePage from './CreatePage';

const LISTS = {
  'GET /api/projects': { body: { projects: [], total: 0 } },
  'GET /api/networks': { body: { networks: [], total: 0 } },
  'GET /api/servers': { body: { servers: [], total: 0 } },
  'GET /api/nodes': { body: { nodes: [], total: 0, seen_at: null } },
};
const PLAN = {
  dry_run: true, name: 'web', engine: 'direct', vmid: 10000, cpu: 2, memory: 4096, disk_size: 50, network_config: [],
  placement: {
    node: 'pve7', template: 9000, storage: 'ceph', spread: 'preferred', pinned: false, reason: '가장 비어 있음', candidates: 3,
    same_role: 0, free_memory: 65536, free_cpu: 64, free_disk: 100, instead_of: null,
  },
};

const submit = () => userEvent.click(screen.getByRole('button', { name: /만들기$/ }));

describe('CreatePage', () => {
  it('asks for a name before it asks the service', async () => {
    const asked = service(LISTS);
    draw(<CreatePage />);
    await screen.findByLabelText(/^이름/);
    await submit();
    expect(await screen.findByText('입력해야 합니다')).toBeTruthy();
    expect(asked.filter((one) => one.method === 'POST')).toEqual([]);
  });

  it('shows where it would go, then asks for it', async () => {
    const made = { success: true, message: '', task_id: 'task_1', server_id: 1 };
    const asked = service({ ...LISTS, 'POST /api/servers/plan': { body: PLAN }, 'POST /api/servers/create': { status: 201, body: made } });
    const { router } = draw(<CreatePage />, '/servers/new', '/servers/new');
    await userEvent.type(await screen.findByLabelText(/^이름/), 'web');
    expect(await screen.findByText('pve7', {}, { timeout: 3000 })).toBeTruthy();
    expect(screen.getByText('가장 비어 있음')).toBeTruthy();
    await submit();
    await vi.waitFor(() => expect(router.state.location.pathname).toBe('/tasks/task_1'));
    expect(asked.find((one) => one.path === '/api/servers/create')?.body).toMatchObject({ name: 'web', role: 'web' });
  });

  it('puts the service’s reasons at the fields, whichever server they are of', async () => {
    const wrong = wrongFields({ 'servers[1].name': '이미 있습니다', 'servers[0].cpu': '너무 많습니다', 'servers[0].elsewhere': '모릅니다' });
    service({ ...LISTS, 'POST /api/servers/plan': { body: PLAN }, 'POST /api/servers/bulk-create': wrong });
    draw(<CreatePage />);
    await userEvent.type(await screen.findByLabelText(/^이름/), 'web');
    const count = screen.getByLabelText('대수');
    await userEvent.clear(count);
    await userEvent.type(count, '2');
    await submit();
    await vi.waitFor(() => expect(faultOfField(screen.getByLabelText(/^이름/))).toContain('이미 있습니다'));
    expect(faultOfField(screen.getByLabelText('CPU (코어)'))).toContain('너무 많습니다');
    expect(screen.getByText(/servers\[0\]\.elsewhere: 모릅니다/)).toBeTruthy();
  });

  it('tells which nodes cannot take it', async () => {
    const details = { missing: 1, nodes: [{ node: 'pve1', reason: 'memory', missing: 2048 }] };
    service({ ...LISTS, 'POST /api/servers/plan': { status: 409, body: refusal('NO_CAPACITY', '자리가 없습니다', details) } });
    draw(<CreatePage />);
    await userEvent.type(await screen.findByLabelText(/^이름/), 'web');
    expect(await screen.findByText(/pve1: 메모리 부족/, {}, { timeout: 3000 })).toBeTruthy();
  });
});
