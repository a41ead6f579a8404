import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { draw, faultOfField, input } from '../../testing/draw';
import { service, wrongFields } from '../../testing/service';
import { KeyForm } from './KeyForm';
import { PasswordForm } from './PasswordForm';

describe('PasswordForm', () => {
  const change = () => userEvent.click(screen.getByRole('button', { name: '바꾸기' }));

  it('wants the new password twice', async () => {
    const asked = service({});
    draw(<PasswordForm />);
    await userEvent.type(await screen.findByLabelText('지금 비밀번호'), 'old-password');
    await userEvent.type(screen.getByLabelText('새 비밀번호'), 'new-password');
    await userEvent.type(screen.getByLabelText('새 비밀번호 다시'), 'other-password');
    await change();
    expect(await screen.findByText('위와 다릅니다')).toBeTruthy();
    expect(asked).toEqual([]);
  });

  it('puts the service’s reason at the field', async () => {
    service({ 'POST /api/auth/password': wrongFields({ current_password: '맞지 않습니다' }) });
    draw(<PasswordForm />);
    await userEvent.type(await screen.findByLabelText('지금 비밀번호'), 'old-password');
    await userEvent.type(screen.getByLabelText('새 비밀번호'), 'new-password');
    await userEvent.type(screen.getByLabelText('새 비밀번호 다시'), 'new-password');
    await change();
    await vi.waitFor(() => expect(faultOfField(screen.getByLabelText('지금 비밀번호'))).toContain('맞지 않습니다'));
  });
});

describe('KeyForm', () => {
  const make = () => userEvent.click(screen.getByRole('button', { name: '만들기' }));

  it('asks for a name and a scope', async () => {
    service({});
    draw(<KeyForm onClose={vi.fn()} onMade={vi.fn()} />);
    await screen.findByLabelText(/^이름/);
    await make();
    expect(await screen.findByText('권한을 하나 이상 고르십시오')).toBeTruthy();
    expect(faultOfField(screen.getByLabelText(/^이름/))).toContain('입력해야 합니다');
  });

  it('puts the service’s reason at the field', async () => {
    service({ 'POST /api/auth/keys': wrongFields({ 'networks[0]': '네트워크가 아닙니다' }) });
    draw(<KeyForm onClose={vi.fn()} onMade={vi.fn()} />);
    await userEvent.type(await screen.findByLabelText(/^이름/), 'ci');
    await userEvent.click(input('허용 범위'));
    await userEvent.click(await screen.findByRole('option', { name: 'servers:*', hidden: true }));
    await userEvent.type(input('쓸 수 있는 곳'), 'nowhere{Enter}');
    await make();
    await vi.waitFor(() =>
      expect(faultOfField(input('쓸 수 있는 곳'))).toContain('네트워크가 아닙니다'),
    );
  });
});
