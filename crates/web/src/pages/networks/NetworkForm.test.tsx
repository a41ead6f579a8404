import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { draw, faultOfField, input } from '../../testing/draw';
import { service, wrongFields } from '../../testing/service';
import { NetworkForm } from './NetworkForm';

describe('NetworkForm', () => {
  it('asks for a name and a range', async () => {
    const asked = service({});
    draw(<NetworkForm network={null} onClose={vi.fn()} />);
    await userEvent.click(await screen.findByRole('button', { name: '저장' }));
    expect(await screen.findByText('시작주소-끝주소 형식이어야 합니다')).toBeTruthy();
    expect(faultOfField(screen.getByLabelText(/^이름/))).not.toBe('');
    expect(asked).toEqual([]);
  });

  it('puts the service’s reasons at the fields', async () => {
    service({ 'POST /api/networks': wrongFields({ gateway: '서브넷 밖입니다', 'exclusions[0]': '범위가 아닙니다' }) });
    draw(<NetworkForm network={null} onClose={vi.fn()} />);
    await userEvent.type(await screen.findByLabelText(/^이름/), 'office');
    await userEvent.type(screen.getByLabelText(/^주소 범위/), '10.0.0.1-10.0.0.9');
    await userEvent.type(screen.getByLabelText('게이트웨이'), '192.168.9.1');
    await userEvent.click(screen.getByRole('button', { name: '저장' }));
    await vi.waitFor(() => expect(faultOfField(screen.getByLabelText('게이트웨이'))).toContain('서브넷 밖입니다'));
    expect(faultOfField(input('제외 주소'))).toContain('범위가 아닙니다');
  });
});
