import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { draw, faultOfField } from '../../testing/draw';
import { service, wrongFields } from '../../testing/service';
import { ProjectForm } from './ProjectForm';

describe('ProjectForm', () => {
  it('asks for a right name', async () => {
    const asked = service({});
    draw(<ProjectForm project={null} onClose={vi.fn()} />);
    await userEvent.type(await screen.findByLabelText(/^이름/), 'Red Team');
    await userEvent.click(screen.getByRole('button', { name: '저장' }));
    expect(await screen.findByText(/영문 소문자로 시작하는/)).toBeTruthy();
    expect(asked).toEqual([]);
  });

  it('sends bounds, and puts the service’s reason at the bound', async () => {
    const asked = service({ 'POST /api/projects': wrongFields({ 'quota.servers': '너무 큽니다' }) });
    draw(<ProjectForm project={null} onClose={vi.fn()} />);
    await userEvent.type(await screen.findByLabelText(/^이름/), 'red');
    await userEvent.type(screen.getByLabelText('서버 한도'), '5');
    await userEvent.click(screen.getByRole('button', { name: '저장' }));
    await vi.waitFor(() => expect(faultOfField(screen.getByLabelText('서버 한도'))).toContain('너무 큽니다'));
    expect(asked[0]?.body).toMatchObject({ name: 'red', quota: { servers: 5, cpu: null } });
  });
});
