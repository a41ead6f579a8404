import { fireEvent, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { draw, faultOfField } from '../../testing/draw';
import { service, wrongFields } from '../../testing/service';
import { SecretForm } from './SecretForm';

const save = () => userEvent.click(screen.getByRole('button', { name: '저장' }));

describe('SecretForm', () => {
  it('asks for a path and fields', async () => {
    const asked = service({});
    draw(<SecretForm folder="secret" onClose={vi.fn()} />);
    await screen.findByLabelText(/^경로/);
    await save();
    await vi.waitFor(() => expect(faultOfField(screen.getByLabelText(/^경로/))).not.toBe(''));
    expect(faultOfField(screen.getByLabelText(/^내용/))).not.toBe('');
    expect(asked).toEqual([]);
  });

  it('writes below the path as it stands, and puts the service’s reason at the field', async () => {
    const asked = service({ 'POST /api/vault/secrets/secret/team/ssh': wrongFields({ key: '너무 깁니다' }) });
    draw(<SecretForm folder="secret" onClose={vi.fn()} />);
    await userEvent.type(await screen.findByLabelText(/^경로/), 'team/ssh');
    fireEvent.change(screen.getByLabelText(/^내용/), { target: { value: '{"key": "x"}' } });
    await save();
    await vi.waitFor(() => expect(faultOfField(screen.getByLabelText(/^내용/))).toContain('너무 깁니다'));
    expect(asked[0]?.body).toEqual({ key: 'x' });
  });
});
