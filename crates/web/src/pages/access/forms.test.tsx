import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { draw, faultOfField, input } from '../../testing/draw';
import { service, wrongFields } from '../../testing/service';
import { RoleForm } from './RoleForm';
import { UserForm } from './UserForm';

const ROLES = { 'GET /api/roles': { body: { roles: [], total: 0 } } };
const save = () => userEvent.click(screen.getByRole('button', { name: '저장' }));

describe('UserForm', () => {
  it('asks for a name and a long enough password', async () => {
    const asked = service(ROLES);
    draw(<UserForm user={null} onClose={vi.fn()} />);
    await userEvent.type(await screen.findByLabelText('비밀번호'), 'short');
    await save();
    expect(await screen.findByText('8자 이상이어야 합니다')).toBeTruthy();
    expect(faultOfField(screen.getByLabelText(/^사용자 이름/))).not.toBe('');
    expect(asked.filter((one) => one.method === 'POST')).toEqual([]);
  });

  it('puts the service’s reasons at the fields', async () => {
    const asked = service({
      ...ROLES,
      'POST /api/users': wrongFields({ password: '너무 쉽습니다', 'roles[0].role': '없는 역할입니다' }),
    });
    draw(<UserForm user={null} onClose={vi.fn()} />);
    await userEvent.type(await screen.findByLabelText(/^사용자 이름/), 'kim');
    await userEvent.type(screen.getByLabelText('비밀번호'), 'password');
    await save();
    await vi.waitFor(() => expect(faultOfField(screen.getByLabelText('비밀번호'))).toContain('너무 쉽습니다'));
    expect(faultOfField(input('역할'))).toContain('없는 역할입니다');
    expect(asked.find((one) => one.method === 'POST')?.body).toMatchObject({ roles: [{ role: 'viewer' }] });
  });
});

describe('RoleForm', () => {
  it('asks for a permission', async () => {
    service({});
    draw(<RoleForm role={null} onClose={vi.fn()} />);
    await userEvent.type(await screen.findByLabelText(/^이름/), 'watcher');
    await save();
    expect(await screen.findByText('권한을 하나 이상 고르십시오')).toBeTruthy();
  });

  it('puts the service’s reason at the field', async () => {
    service({ 'PATCH /api/roles/watcher': wrongFields({ 'permissions[0]': '줄 수 없습니다' }) });
    draw(<RoleForm role={{ name: 'watcher', permissions: ['servers:read'], built_in: false }} onClose={vi.fn()} />);
    await screen.findByLabelText(/^이름/);
    await save();
    await vi.waitFor(() => expect(faultOfField(input('권한'))).toContain('줄 수 없습니다'));
  });
});
