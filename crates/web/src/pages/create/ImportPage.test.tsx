import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { draw, faultOfField } from '../../testing/draw';
import { service, wrongFields } from '../../testing/service';
import ImportPage from './ImportPage';

describe('ImportPage', () => {
  it('asks for a VMID', async () => {
    const asked = service({});
    draw(<ImportPage />);
    await userEvent.click(await screen.findByRole('button', { name: '가져오기' }));
    expect(await screen.findByText('숫자를 입력하십시오')).toBeTruthy();
    expect(asked).toEqual([]);
  });

  it('puts the service’s reason at the field', async () => {
    service({ 'POST /api/servers/import': wrongFields({ role: '없는 역할입니다' }) });
    draw(<ImportPage />);
    await userEvent.type(await screen.findByLabelText(/^VMID/), '105');
    await userEvent.click(screen.getByRole('button', { name: '가져오기' }));
    await vi.waitFor(() => expect(faultOfField(screen.getByLabelText('역할'))).toContain('없는 역할입니다'));
  });
});
