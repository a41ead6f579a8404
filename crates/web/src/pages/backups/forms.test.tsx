import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import type { Backup } from '../../api/backups';
import { draw, faultOfField, input } from '../../testing/draw';
import { service, wrongFields } from '../../testing/service';
import { BackupForm } from './BackupForm';
import { DeleteBackup } from './DeleteBackup';
import { RestoreForm } from './RestoreForm';

const BACKUP: Backup = {
  id: 1, server_id: 7, server_name: 'web-01', backup_id: 'backup_1', status: 'completed', backup_type: 'full', origin: 'asked',
  size: '1B', size_bytes: 1,
  vmid: 10000, node: 'pve1', storage: 'backup', volume: 'v', mode: 'snapshot', compress: 'zstd', notes: '', protected: false,
  warnings: [], error: null, verified_at: null, verified_by: null, created_at: '2026-01-01T00:00:00Z', finished_at: null,
  schedule_id: null, condemned: false,
};
const LISTS = {
  'GET /api/nodes': { body: { nodes: [], total: 0, seen_at: null } },
  'GET /api/servers': { body: { servers: [{ id: 9, name: 'db-01' }], total: 1 } },
};
const ACCEPTED = { status: 201, body: { success: true, message: '', task_id: 'task_1' } };

describe('BackupForm', () => {
  const make = () => userEvent.click(screen.getByRole('button', { name: '백업 시작' }));

  it('asks for a server', async () => {
    const asked = service(LISTS);
    draw(<BackupForm onClose={vi.fn()} />);
    await screen.findByLabelText('메모');
    await make();
    expect(await screen.findByText('서버를 고르십시오')).toBeTruthy();
    expect(asked.filter((one) => one.method === 'POST')).toEqual([]);
  });

  it('refuses notes that Proxmox VE would fill in', async () => {
    service(LISTS);
    draw(<BackupForm server={7} onClose={vi.fn()} />);
    await userEvent.type(await screen.findByLabelText('메모'), '{{{{guestname}}');
    await make();
    expect(await screen.findByText(/한 줄이어야/)).toBeTruthy();
  });

  it('sends what was chosen, and puts the service’s reason at the field', async () => {
    const asked = service({ ...LISTS, 'POST /api/backups/create': wrongFields({ storage: '백업을 둘 수 없습니다' }) });
    draw(<BackupForm server={7} onClose={vi.fn()} />);
    await screen.findByLabelText('메모');
    await userEvent.type(input('스토리지'), 'local');
    await make();
    await vi.waitFor(() => expect(faultOfField(input('스토리지'))).toContain('백업을 둘 수 없습니다'));
    expect(asked.find((one) => one.method === 'POST')?.body).toEqual({ server_id: 7, storage: 'local' });
  });
});

describe('RestoreForm', () => {
  const restore = () => userEvent.click(screen.getByRole('button', { name: '복원' }));

  it('makes a new server unless told otherwise', async () => {
    const asked = service({ 'POST /api/backups/backup_1/restore': ACCEPTED });
    draw(<RestoreForm backup={BACKUP} onClose={vi.fn()} />);
    await userEvent.type(await screen.findByLabelText('새 서버의 이름'), 'web-09');
    await restore();
    await vi.waitFor(() => expect(asked[0]?.body).toEqual({ target_server_id: 'new', name: 'web-09' }));
  });

  it('wants the name of what is replaced', async () => {
    const asked = service({ 'POST /api/backups/backup_1/restore': ACCEPTED });
    draw(<RestoreForm backup={BACKUP} onClose={vi.fn()} />);
    await userEvent.click(await screen.findByLabelText(/원래 서버 web-01에/));
    await restore();
    const typed = await screen.findByLabelText(/"web-01"/);
    await vi.waitFor(() => expect(typed.getAttribute('aria-invalid')).toBe('true'));
    expect(asked).toEqual([]);
    await userEvent.type(typed, 'web-01');
    await restore();
    await vi.waitFor(() => expect(asked[0]?.body).toEqual({ target_server_id: 7, overwrite: true }));
  });

  it('puts the service’s reason at the field', async () => {
    service({ 'POST /api/backups/backup_1/restore': wrongFields({ name: '이미 있는 이름입니다' }) });
    draw(<RestoreForm backup={BACKUP} onClose={vi.fn()} />);
    await userEvent.type(await screen.findByLabelText('새 서버의 이름'), 'web-09');
    await restore();
    await vi.waitFor(() => expect(faultOfField(screen.getByLabelText('새 서버의 이름'))).toContain('이미 있는 이름입니다'));
  });
});

describe('DeleteBackup', () => {
  it('deletes the only one only when told so', async () => {
    const asked = service({ 'DELETE /api/backups/backup_1': ACCEPTED });
    draw(<DeleteBackup backup={BACKUP} onClose={vi.fn()} />);
    await userEvent.type(await screen.findByRole('textbox'), 'web-01');
    await userEvent.click(screen.getByRole('button', { name: '삭제' }));
    await vi.waitFor(() => expect(asked).toHaveLength(1));
  });
});
