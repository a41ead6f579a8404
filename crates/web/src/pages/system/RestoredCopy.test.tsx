import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { draw } from '../../testing/draw';
import { service } from '../../testing/service';
import { RestoredCopy } from './RestoredCopy';

describe('RestoredCopy', () => {
  it('says what waits, and accepts the copy', async () => {
    const asked = service({ 'POST /api/system/restored/accept': { body: { success: true, message: '저장되었습니다' } } });
    draw(<RestoredCopy since="2026-01-15T10:30:00Z" />);
    expect(await screen.findByText(/작업과 예약은 기다립니다/)).toBeTruthy();
    await userEvent.click(screen.getByRole('button', { name: '확인하고 계속' }));
    await vi.waitFor(() => expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual(['POST /api/system/restored/accept']));
  });
});
