import { act, screen } from '@testing-library/react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { tellSessionEnd } from '../api/client';
import { draw, ME } from '../testing/draw';
import { service } from '../testing/service';
import { FORGET_AFTER, SessionGate } from './Session';

describe('SessionGate', () => {
  afterEach(() => vi.useRealTimers());

  it('keeps the page for a while after the session has ended, and then nothing of it', async () => {
    service({ 'GET /api/auth/me': { body: ME } });
    const { cache } = draw(
      <SessionGate>
        <p>what was shown</p>
      </SessionGate>,
    );
    expect(await screen.findByText('what was shown')).toBeTruthy();
    vi.useFakeTimers();
    act(() => tellSessionEnd());
    act(() => {
      vi.advanceTimersByTime(FORGET_AFTER - 1);
    });
    expect(screen.getByText('what was shown')).toBeTruthy();
    expect(screen.getByText('세션이 끝났습니다')).toBeTruthy();
    act(() => {
      vi.advanceTimersByTime(1);
    });
    expect(screen.queryByText('what was shown')).toBeNull();
    expect(document.body.textContent).not.toContain(ME.username);
    expect(cache.getQueryCache().getAll().filter((one) => one.state.data !== undefined)).toEqual([]);
    expect(screen.getByLabelText('비밀번호')).toBeTruthy();
  });

  it('asks again, and goes on, where the login is only too long ago', async () => {
    service({ 'GET /api/auth/me': { body: ME } });
    draw(
      <SessionGate>
        <p>what was shown</p>
      </SessionGate>,
    );
    expect(await screen.findByText('what was shown')).toBeTruthy();
    act(() => tellSessionEnd('old'));
    expect(await screen.findByText('다시 로그인하십시오')).toBeTruthy();
    expect(screen.getByText('what was shown')).toBeTruthy();
  });
});
