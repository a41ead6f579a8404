import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { Fault } from '../api/fault';
import { draw } from '../testing/draw';
import { Confirm } from './Confirm';

describe('Confirm', () => {
  it('names what goes, and waits until it was typed', async () => {
    const onConfirm = vi.fn();
    draw(
      <Confirm opened onClose={vi.fn()} title="삭제" text="지워집니다" names={['web-01', 'web-02']} word="2대 삭제" action="지우기" pending={false} onConfirm={onConfirm} />,
    );
    expect(await screen.findByText('web-02')).toBeTruthy();
    const act = screen.getByRole<HTMLButtonElement>('button', { name: '지우기' });
    expect(act.disabled).toBe(true);
    await userEvent.type(screen.getByRole('textbox'), '2대');
    expect(act.disabled).toBe(true);
    await userEvent.type(screen.getByRole('textbox'), ' 삭제');
    await userEvent.click(act);
    expect(onConfirm).toHaveBeenCalledTimes(1);
  });

  it('shows why the service refused', async () => {
    const error = new Fault('SERVER_BUSY', 409, '다른 작업이 진행 중입니다');
    draw(<Confirm opened onClose={vi.fn()} title="정지" text="" action="정지하기" pending={false} error={error} onConfirm={vi.fn()} />);
    expect(await screen.findByText('다른 작업이 진행 중입니다')).toBeTruthy();
    expect(screen.getByText('SERVER_BUSY')).toBeTruthy();
  });
});
