import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { draw, faultOfField } from '../../testing/draw';
import { service, wrongFields } from '../../testing/service';
import { ChannelForm } from './ChannelForm';

const save = () => userEvent.click(screen.getByRole('button', { name: '저장' }));

describe('ChannelForm', () => {
  it('asks for a name and a URL', async () => {
    const asked = service({});
    draw(<ChannelForm channel={null} onClose={vi.fn()} onMade={vi.fn()} />);
    await screen.findByLabelText(/^이름/);
    expect(screen.getByRole('switch')).toHaveProperty('checked', true);
    await save();
    expect(await screen.findByText('https:// 로 시작하는 URL이어야 합니다')).toBeTruthy();
    expect(faultOfField(screen.getByLabelText(/^이름/))).toContain('입력해야 합니다');
    expect(asked).toEqual([]);
  });

  it('puts the service’s reason at the field', async () => {
    service({ 'POST /api/notifications/channels': wrongFields({ url: '허용되지 않는 주소입니다' }) });
    draw(<ChannelForm channel={null} onClose={vi.fn()} onMade={vi.fn()} />);
    await userEvent.type(await screen.findByLabelText(/^이름/), 'ops');
    await userEvent.type(screen.getByLabelText(/^URL/), 'https://10.0.0.1/hook');
    await save();
    await vi.waitFor(() => expect(faultOfField(screen.getByLabelText(/^URL/))).toContain('허용되지 않는 주소입니다'));
  });

  it('gives the signing key to be shown once', async () => {
    const onMade = vi.fn();
    const body = { success: true, message: '', channel_id: 1, signing_key: 'whsec_x' };
    const asked = service({ 'POST /api/notifications/channels': { status: 201, body } });
    draw(<ChannelForm channel={null} onClose={vi.fn()} onMade={onMade} />);
    await userEvent.type(await screen.findByLabelText(/^이름/), 'ops');
    await userEvent.type(screen.getByLabelText(/^URL/), 'https://hooks.example.com/a');
    await save();
    await vi.waitFor(() => expect(onMade).toHaveBeenCalledWith('whsec_x'));
    expect(asked[0]?.body).toMatchObject({ name: 'ops', url: 'https://hooks.example.com/a', format: 'event' });
  });
});
