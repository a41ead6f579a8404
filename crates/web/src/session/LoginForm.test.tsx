import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { draw, faultOfField } from '../testing/draw';
import { refusal, service } from '../testing/service';
import { LoginForm } from './LoginForm';

async function enter(username: string, password: string): Promise<void> {
  if (username) await userEvent.type(await screen.findByLabelText('사용자 이름'), username);
  if (password) await userEvent.type(screen.getByLabelText('비밀번호'), password);
  await userEvent.click(screen.getByRole('button', { name: '로그인' }));
}

describe('LoginForm', () => {
  it('asks for both fields', async () => {
    const asked = service({});
    draw(<LoginForm onLoggedIn={vi.fn()} />);
    await screen.findByLabelText('사용자 이름');
    await enter('', '');
    expect(await screen.findByText('사용자 이름을 입력하십시오')).toBeTruthy();
    expect(faultOfField(screen.getByLabelText('비밀번호'))).toContain('비밀번호를 입력하십시오');
    expect(asked).toEqual([]);
  });

  it('tells that name or password are wrong, and empties the password', async () => {
    service({ 'POST /api/auth/login': { status: 401, body: refusal('INVALID_CREDENTIALS', '맞지 않습니다') } });
    draw(<LoginForm onLoggedIn={vi.fn()} />);
    await enter('admin', 'wrong');
    expect(await screen.findByText('맞지 않습니다')).toBeTruthy();
    expect(screen.getByLabelText<HTMLInputElement>('비밀번호').value).toBe('');
  });

  it('tells how long to wait, and waits', async () => {
    const body = refusal('TOO_MANY_ATTEMPTS', '너무 많이 시도했습니다', { retry_after_secs: 30 });
    service({ 'POST /api/auth/login': { status: 429, body } });
    draw(<LoginForm onLoggedIn={vi.fn()} />);
    await enter('admin', 'wrong');
    expect(await screen.findByText(/30초 뒤에/)).toBeTruthy();
    expect(screen.getByRole<HTMLButtonElement>('button', { name: '로그인' }).disabled).toBe(true);
  });

  it('asks for a code where the service does', async () => {
    const onLoggedIn = vi.fn();
    const user = { id: 1, username: 'admin' };
    const asked = service({
      'POST /api/auth/login': ({ body }) =>
        (body as { code?: string }).code === '123456'
          ? { body: { success: true, message: '', user } }
          : { status: 401, body: refusal('SECOND_FACTOR_NEEDED', '코드가 필요합니다') },
    });
    draw(<LoginForm onLoggedIn={onLoggedIn} />);
    await enter('admin', 'right');
    const code = await screen.findByLabelText('인증 코드');
    expect(code.getAttribute('autocomplete')).toBe('one-time-code');
    await userEvent.click(screen.getByRole('button', { name: '로그인' }));
    expect(await screen.findByText('인증 코드를 입력하십시오')).toBeTruthy();
    await userEvent.type(code, ' 123456');
    await userEvent.click(screen.getByRole('button', { name: '로그인' }));
    await vi.waitFor(() => expect(onLoggedIn).toHaveBeenCalledWith(user));
    expect(asked.map((one) => one.body)).toEqual([
      { username: 'admin', password: 'right' },
      { username: 'admin', password: 'right', code: '123456' },
    ]);
  });

  it('masks the password, and takes what is pasted or filled in', async () => {
    const asked = service({ 'POST /api/auth/login': { status: 401, body: refusal('INVALID_CREDENTIALS', '') } });
    draw(<LoginForm onLoggedIn={vi.fn()} />);
    const name = await screen.findByLabelText<HTMLInputElement>('사용자 이름');
    const password = screen.getByLabelText<HTMLInputElement>('비밀번호');
    expect(password.type).toBe('password');
    expect([name.autocomplete, password.autocomplete]).toEqual(['username', 'current-password']);
    await userEvent.type(name, 'admin');
    await userEvent.click(password);
    const pasted = ' 소나무 아래 & 64 letters or more, with blanks at both ends, as they are ';
    await userEvent.paste(pasted);
    await userEvent.click(screen.getByRole('button', { name: '로그인' }));
    await vi.waitFor(() => expect(asked[0]?.body).toEqual({ username: 'admin', password: pasted }));
  });

  it('gives back who is in', async () => {
    const onLoggedIn = vi.fn();
    const user = { id: 1, username: 'admin' };
    const asked = service({ 'POST /api/auth/login': { body: { success: true, message: '', user } } });
    draw(<LoginForm onLoggedIn={onLoggedIn} />);
    await enter('admin', 'right');
    await vi.waitFor(() => expect(onLoggedIn).toHaveBeenCalledWith(user));
    expect(asked[0]?.body).toEqual({ username: 'admin', password: 'right' });
  });
});
