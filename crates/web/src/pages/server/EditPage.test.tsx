import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { draw, faultOfField } from '../../testing/draw';
import { service, wrongFields } from '../../testing/service';
import EditPage from './EditPage';

const SERVER = {
  id: 7, name: 'web-01', ip_address: '10.0.0.1', role: 'web', status: 'running', cpu: 2, memory: 4096, disk_size: 50,
  created_at: '2026-01-01T00:00:00Z', updated_at: '2026-01-01T00:00:00Z', vmid: 10000, node: 'pve1', engine: 'direct',
  project: 'default', expires_at: null, on_expiry: null, drift: [], tags: ['web'], description: null, imported: false,
  error: null, network_config: [], readiness: [], import_differences: [], placement: null, task_id: null,
};
const ANSWERS = {
  'GET /api/servers/7': { body: SERVER },
  'GET /api/projects': { body: { projects: [], total: 0 } },
};

async function set(label: string, value: string): Promise<HTMLElement> {
  const field = await screen.findByLabelText(label);
  await userEvent.clear(field);
  await userEvent.type(field, value);
  return field;
}
const save = () => userEvent.click(screen.getByRole('button', { name: '변경 요청' }));

describe('EditPage', () => {
  it('asks for nothing while nothing is different', async () => {
    service(ANSWERS);
    draw(<EditPage />, '/servers/7/edit', '/servers/:id/edit');
    expect((await screen.findByRole<HTMLButtonElement>('button', { name: '변경 요청' })).disabled).toBe(true);
  });

  it('shows what will change, and sends only that', async () => {
    const asked = service({ ...ANSWERS, 'PATCH /api/servers/7': { body: { success: true, message: '', task_id: 'task_9' } } });
    const { router } = draw(<EditPage />, '/servers/7/edit', '/servers/:id/edit');
    await set('메모리 (MB)', '8192');
    expect(await screen.findByText('8192')).toBeTruthy();
    await save();
    await vi.waitFor(() => expect(router.state.location.pathname).toBe('/tasks/task_9'));
    expect(asked.find((one) => one.method === 'PATCH')?.body).toEqual({ memory: 8192 });
  });

  it('does not let a disk shrink', async () => {
    service(ANSWERS);
    draw(<EditPage />, '/servers/7/edit', '/servers/:id/edit');
    const field = await set('디스크 (GB)', '20');
    await save();
    await vi.waitFor(() => expect(faultOfField(field)).toContain('늘릴 수만'));
  });

  it('puts the service’s reason at the field', async () => {
    service({ ...ANSWERS, 'PATCH /api/servers/7': wrongFields({ cpu: '128 이하여야 합니다', confirm: '이름이 아닙니다' }) });
    draw(<EditPage />, '/servers/7/edit', '/servers/:id/edit');
    const field = await set('CPU (코어)', '500');
    await save();
    await vi.waitFor(() => expect(faultOfField(field)).toContain('128 이하여야 합니다'));
    expect(faultOfField(screen.getByLabelText('파괴적 변경에 대한 동의'))).toContain('이름이 아닙니다');
  });
});
