import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { draw } from '../testing/draw';
import { service } from '../testing/service';
import { Shell } from './Shell';

describe('Shell', () => {
  it('offers on every page to log out, and begins anew then', async () => {
    const asked = service({
      'GET /api/notifications': { body: { notifications: [], total: 0 } },
      'POST /api/auth/logout': { body: { success: true, message: '' } },
    });
    const assign = vi.fn();
    const { origin, href } = window.location;
    vi.stubGlobal('location', { origin, href, assign });
    draw(<Shell />, '/servers');
    await userEvent.click(await screen.findByRole('button', { name: 'admin 메뉴' }));
    await userEvent.click(await screen.findByRole('menuitem', { name: '로그아웃' }));
    await vi.waitFor(() => expect(assign).toHaveBeenCalledWith('/'));
    expect(asked.some((one) => one.method === 'POST' && one.path === '/api/auth/logout')).toBe(true);
    vi.unstubAllGlobals();
  });
});
