import { screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import type { PrunedBackup, Schedule } from '../../api/schedules';
import { draw, faultOfField, input, ME } from '../../testing/draw';
import { refusal, service, wrongFields } from '../../testing/service';
import { RetentionPreview } from './RetentionPreview';
import { ScheduleForm } from './ScheduleForm';
import { Schedules } from './Schedules';

ME.permissions.push('backups:read', 'backups:write');

const NIGHTLY: Schedule = {
  id: 3, name: 'nightly', project_id: null, enabled: true, calendar: '0 2 * * *', time_zone: 'Asia/Seoul',
  target: { role: 'web' }, mode: 'snapshot', storage: 'local', compress: 'zstd', notes: '', jitter_seconds: 600, drill: null,
  window_minutes: 240, max_age_hours: null, verified_within_days: null, max_per_node: 1, max_per_storage: null,
  retention: { keep_last: 3, keep_hourly: 0, keep_daily: 7, keep_weekly: 0, keep_monthly: 0, keep_yearly: 0 },
  next_runs: ['2024-01-15T17:00:00Z', '2024-01-16T17:00:00Z'], created_at: '2024-01-01T00:00:00Z', updated_at: '2024-01-01T00:00:00Z',
  last_run: {
    id: 7, status: 'done', due_at: '2024-01-14T17:00:00Z', started_at: '2024-01-14T17:00:02Z', ended_at: '2024-01-14T17:10:00Z',
    passed_over: 2, asked_for: false, servers: { waiting: 0, started: 0, completed: 5, failed: 1, missed: 0, skipped: 0 },
  },
};
const LISTS = {
  'GET /api/nodes': { body: { nodes: [], total: 0, seen_at: null } },
  'GET /api/projects': { body: { projects: [], total: 0 } },
  'GET /api/servers': { body: { servers: [{ id: 9, name: 'db-01' }, { id: 10, name: 'db-02' }], total: 2 } },
};
const ALL_ZERO = { keep_last: 0, keep_hourly: 0, keep_daily: 0, keep_weekly: 0, keep_monthly: 0, keep_yearly: 0 };

const save = () => userEvent.click(screen.getByRole('button', { name: '저장' }));
const written = (asked: ReturnType<typeof service>) => asked.filter((one) => one.method !== 'GET');
const enter = async (label: string | RegExp, text: string) => {
  await userEvent.clear(input(label));
  if (text) await userEvent.paste(text);
};

describe('ScheduleForm', () => {
  it('wants a name, five fields, a time zone and servers before it asks', async () => {
    const asked = service(LISTS);
    draw(<ScheduleForm schedule={null} onClose={vi.fn()} />);
    await screen.findByLabelText(/^이름/);
    await enter(/^달력/, '0 2 * *');
    await enter(/^시간대/, '');
    await userEvent.click(screen.getByLabelText('고른 서버'));
    await save();
    await vi.waitFor(() => expect(faultOfField(input(/^이름/))).toContain('입력해야 합니다'));
    expect(faultOfField(input(/^달력/))).toContain('다섯 칸');
    expect(faultOfField(input(/^시간대/))).toContain('입력해야 합니다');
    expect(screen.getByText('서버를 하나 이상 고르십시오')).toBeTruthy();
    await userEvent.click(screen.getByLabelText('태그가 있는 서버'));
    await enter(/^태그( \*)?$/, 'two words');
    await save();
    await vi.waitFor(() => expect(faultOfField(input(/^태그( \*)?$/))).toContain('태그에는'));
    expect(written(asked)).toEqual([]);
  });

  it('keeps numbers in their bounds, and the spread inside the window', async () => {
    const asked = service(LISTS);
    draw(<ScheduleForm schedule={NIGHTLY} onClose={vi.fn()} />);
    await screen.findByLabelText(/^이름/);
    await enter('최근', '10001');
    await enter('노드마다 동시에', '101');
    await enter('백업이 이보다 오래되면 (시간)', '1.5');
    await enter('시작할 수 있는 시간 (분)', '5');
    await save();
    await vi.waitFor(() => expect(faultOfField(input('최근'))).toContain('10000 이하'));
    expect(faultOfField(input('노드마다 동시에'))).toContain('100 이하');
    expect(faultOfField(input('백업이 이보다 오래되면 (시간)'))).toContain('정수');
    await enter('최근', '3');
    await enter('노드마다 동시에', '');
    await enter('백업이 이보다 오래되면 (시간)', '26');
    await save();
    await vi.waitFor(() => expect(faultOfField(input('시작을 흩는 시간 (초)'))).toContain('300초 이하'));
    expect(written(asked)).toEqual([]);
  });

  it('makes one of what was entered', async () => {
    const made = { success: true, message: '생성되었습니다', schedule_id: 1, next_runs: [] };
    const asked = service({ ...LISTS, 'POST /api/backups/schedules': { status: 201, body: made } });
    const onClose = vi.fn();
    draw(<ScheduleForm schedule={null} onClose={onClose} />);
    await screen.findByLabelText(/^이름/);
    await enter(/^이름/, 'nightly');
    await enter(/^시간대/, 'Asia/Seoul');
    await enter('일별', '7');
    await userEvent.click(screen.getByLabelText('고른 서버'));
    await userEvent.click(input(/^서버( \*)?$/));
    await userEvent.click(await screen.findByRole('option', { name: 'db-02' }));
    await save();
    await vi.waitFor(() => expect(onClose).toHaveBeenCalled());
    expect(written(asked)[0]?.body).toEqual({
      name: 'nightly', enabled: true, calendar: '0 2 * * *', time_zone: 'Asia/Seoul', target: { server_ids: [10] },
      project_id: null, drill: null, notes: '', retention: { ...ALL_ZERO, keep_daily: 7 }, jitter_seconds: 0, window_minutes: null,
      max_age_hours: null, verified_within_days: null, max_per_node: null, max_per_storage: null,
    });
  });

  it('shows what there is, and takes a bound away where a field was emptied', async () => {
    const saved = { body: { success: true, message: '저장되었습니다' } };
    const asked = service({ ...LISTS, 'PATCH /api/backups/schedules/3': saved });
    draw(<ScheduleForm schedule={NIGHTLY} onClose={vi.fn()} />);
    await screen.findByLabelText(/^이름/);
    expect(input(/^역할( \*)?$/)).toHaveProperty('value', 'web');
    expect(screen.getByRole('switch')).toHaveProperty('checked', true);
    await enter('시작할 수 있는 시간 (분)', '');
    await enter('최근', '');
    await save();
    await vi.waitFor(() => expect(written(asked)).toHaveLength(1));
    expect(written(asked)[0]?.body).toMatchObject({
      name: 'nightly', target: { role: 'web' }, storage: 'local', mode: 'snapshot', window_minutes: null, max_per_node: 1,
      jitter_seconds: 600, retention: { ...ALL_ZERO, keep_daily: 7 },
    });
  });

  it('puts the service’s reasons at their fields', async () => {
    service({
      ...LISTS,
      'PATCH /api/backups/schedules/3': wrongFields({
        calendar: '달력 식이 아닙니다', time_zone: '없는 시간대입니다', 'target.role': '없는 역할입니다',
        'retention.keep_daily': '범위를 벗어났습니다', max_per_node: '너무 많습니다', engine: '모르는 항목입니다',
      }),
    });
    draw(<ScheduleForm schedule={NIGHTLY} onClose={vi.fn()} />);
    await screen.findByLabelText(/^이름/);
    await save();
    await vi.waitFor(() => expect(faultOfField(input(/^달력/))).toContain('달력 식이 아닙니다'));
    expect(faultOfField(input(/^시간대/))).toContain('없는 시간대입니다');
    expect(faultOfField(input(/^역할( \*)?$/))).toContain('없는 역할입니다');
    expect(faultOfField(input('일별'))).toContain('범위를 벗어났습니다');
    expect(faultOfField(input('노드마다 동시에'))).toContain('너무 많습니다');
    expect(screen.getByText('engine: 모르는 항목입니다')).toBeTruthy();
  });

  it('puts the reason about one of several servers at their field', async () => {
    const refused = wrongFields({ 'target.server_ids[1]': '없는 서버입니다' });
    service({
      ...LISTS,
      'GET /api/servers/9': { body: { id: 9, name: 'db-01' } },
      'PATCH /api/backups/schedules/3': refused,
    });
    draw(<ScheduleForm schedule={{ ...NIGHTLY, target: { server_ids: [9, 44] } }} onClose={vi.fn()} />);
    await screen.findAllByText('#44');
    await screen.findAllByText('db-01');
    await save();
    await vi.waitFor(() => expect(faultOfField(input(/^서버( \*)?$/))).toContain('없는 서버입니다'));
  });
});

describe('a schedule of drills', () => {
  const WEEKLY: Schedule = { ...NIGHTLY, drill: { goal: 'agent', command: ['/bin/sh', '-c', 'one\ntwo'] } };
  const saved = { body: { success: true, message: '저장되었습니다' } };
  const command = () => screen.getByLabelText(/^게스트에서 실행할 명령/);

  it('is made of a backup’s schedule; what matters for backups alone is hidden and stays', async () => {
    const asked = service({ ...LISTS, 'PATCH /api/backups/schedules/3': saved });
    draw(<ScheduleForm schedule={NIGHTLY} onClose={vi.fn()} />);
    await screen.findByLabelText(/^이름/);
    // What is hidden is not in the way.
    await enter('메모', '{{guestname}}');
    await userEvent.click(screen.getByLabelText('가장 새 백업으로 복원 훈련'));
    for (const label of ['일별', '메모', /^스토리지/, '압축', '스토리지마다 동시에']) expect(screen.queryByLabelText(label)).toBeNull();
    input('노드마다 동시에');
    await userEvent.click(command());
    await userEvent.paste('/usr/bin/pg_isready');
    await save();
    await vi.waitFor(() => expect(written(asked)).toHaveLength(1));
    const body = written(asked)[0]?.body as object;
    expect(body).toMatchObject({ name: 'nightly', drill: { command: ['/usr/bin/pg_isready'] }, max_per_node: 1 });
    for (const name of ['storage', 'mode', 'compress', 'notes', 'retention', 'max_per_storage']) expect(body).not.toHaveProperty(name);
  });

  it('becomes one of backups by null', async () => {
    const asked = service({ ...LISTS, 'PATCH /api/backups/schedules/3': saved });
    draw(<ScheduleForm schedule={WEEKLY} onClose={vi.fn()} />);
    await screen.findByLabelText(/^게스트에서 실행할 명령/);
    await userEvent.click(screen.getByLabelText('백업을 만듦'));
    expect(screen.queryByLabelText(/^게스트에서 실행할 명령/)).toBeNull();
    await save();
    await vi.waitFor(() => expect(written(asked)).toHaveLength(1));
    expect(written(asked)[0]?.body).toMatchObject({ drill: null, storage: 'local', retention: { ...ALL_ZERO, keep_last: 3, keep_daily: 7 } });
  });

  it('keeps its command as it is unless that is typed over', async () => {
    const asked = service({ ...LISTS, 'PATCH /api/backups/schedules/3': saved });
    draw(<ScheduleForm schedule={WEEKLY} onClose={vi.fn()} />);
    await screen.findByLabelText(/^게스트에서 실행할 명령/);
    await save();
    await vi.waitFor(() => expect(written(asked)[0]?.body).toMatchObject({ drill: WEEKLY.drill }));
  });

  it('has the service’s reasons at its fields, and those of hidden fields above the buttons', async () => {
    const refused = wrongFields({ 'drill.command[2]': '너무 깁니다', 'drill.goal': '없는 목표입니다', storage: '없는 스토리지입니다' });
    service({ ...LISTS, 'PATCH /api/backups/schedules/3': refused });
    draw(<ScheduleForm schedule={WEEKLY} onClose={vi.fn()} />);
    await screen.findByLabelText(/^게스트에서 실행할 명령/);
    await save();
    await vi.waitFor(() => expect(faultOfField(command())).toContain('너무 깁니다'));
    expect(faultOfField(screen.getByRole('combobox', { name: '어디까지 확인합니까' }))).toContain('없는 목표입니다');
    screen.getByText('storage: 없는 스토리지입니다');
  });

  it('is told from one of backups', async () => {
    const fresh: Schedule = { ...WEEKLY, id: 4, name: 'weekly', drill: { goal: null, command: [] }, retention: ALL_ZERO };
    service({ 'GET /api/backups/schedules': { body: { schedules: [NIGHTLY, WEEKLY, fresh].map((one, id) => ({ ...one, id })), total: 3 } } });
    draw(<Schedules />);
    const rows = await screen.findAllByRole('row', { name: /nightly|weekly/ });
    const [backups, drills, usual] = rows.map((row) => within(row));
    backups?.getByText('백업');
    drills?.getByText('에이전트 응답 · 명령 실행');
    drills?.getByRole('button', { name: '보존 미리 보기' });
    usual?.getByText('복원 훈련');
    usual?.getByText('서버에 맞게');
    expect(usual?.queryByRole('button', { name: '보존 미리 보기' })).toBeNull();
  });
});

describe('Schedules', () => {
  it('tells what is done when, and asks before one is deleted', async () => {
    const asked = service({
      'GET /api/backups/schedules': { body: { schedules: [NIGHTLY], total: 1 } },
      'PATCH /api/backups/schedules/3': { body: { success: true, message: '' } },
      'DELETE /api/backups/schedules/3': { body: { success: true, message: '' } },
      'POST /api/backups/schedules/3/run': { status: 409, body: refusal('SCHEDULE_RUNS', '이미 실행 중입니다') },
    });
    draw(<Schedules />);
    const row = within(await screen.findByRole('row', { name: /nightly/ }));
    for (const told of ['0 2 * * *', 'Asia/Seoul', '역할 web', '최근 3, 일별 7', '완료 5, 실패 1']) row.getByText(told);
    row.getByText(/지나간 2번/);
    await userEvent.click(row.getByRole('button', { name: '지금 실행' }));
    await screen.findByText('이미 실행 중입니다');
    await userEvent.click(row.getByRole('button', { name: '끄기' }));
    await vi.waitFor(() => expect(asked.find((one) => one.method === 'PATCH')?.body).toEqual({ enabled: false }));
    await userEvent.click(row.getByRole('button', { name: '삭제' }));
    const dialog = within(await screen.findByRole('dialog'));
    await userEvent.type(await dialog.findByRole('textbox'), 'nightly');
    await userEvent.click(dialog.getByRole('button', { name: '삭제' }));
    await vi.waitFor(() => expect(asked.some((one) => one.method === 'DELETE')).toBe(true));
  });

  it('says that there are none, or that one may not see them', async () => {
    service({ 'GET /api/backups/schedules': { body: { schedules: [], total: 0 } } });
    draw(<Schedules />).unmount();
    draw(<Schedules />);
    await screen.findByText('백업 예약이 없습니다');
    service({ 'GET /api/backups/schedules': { status: 403, body: refusal('FORBIDDEN', '') } });
    draw(<Schedules />);
    await screen.findByText('FORBIDDEN');
  });
});

describe('RetentionPreview', () => {
  const one = (id: string, created_at: string, rule: PrunedBackup['rule']): PrunedBackup => ({
    backup_id: id, server_id: 1, server_name: 'web-01', storage: 'local', created_at, mark: rule ? 'keep' : 'remove', rule,
  });
  const backups = [
    one('backup_3', '2024-02-02T17:00:00Z', 'keep_last'), one('backup_2', '2024-01-14T17:00:00Z', 'keep_daily'),
    one('backup_1', '2024-01-13T17:00:00Z', null),
  ];

  it('shows months of what stays and goes, and lets go only of what was typed', async () => {
    const asked = service({
      'POST /api/backups/prune': { body: { success: true, message: '백업 1개가 삭제됩니다', dry_run: true, keep: 2, remove: 1, backups } },
    });
    const onClose = vi.fn();
    draw(<RetentionPreview schedule={NIGHTLY} onClose={onClose} />);
    const february = await screen.findByRole('table', { name: '2024년 2월 달력' });
    within(february).getByText('최근');
    await userEvent.click(screen.getByRole('button', { name: '이전 달' }));
    const january = screen.getByRole('table', { name: '2024년 1월 달력' });
    expect(within(january).getByRole('cell', { name: /^15/ }).textContent).toBe('15일별 1');
    expect(within(january).getByRole('cell', { name: /^14/ }).textContent).toBe('14삭제 1');
    const list = screen.getByRole('list', { name: '2024년 1월의 백업' });
    within(list).getByText('규칙: 일별');
    expect(within(list).getAllByText('web-01')).toHaveLength(2);
    await userEvent.click(screen.getByRole('button', { name: '지금 정리' }));
    const typed = await screen.findByRole('textbox');
    expect(screen.getByRole('button', { name: '지금 정리' })).toHaveProperty('disabled', true);
    await userEvent.type(typed, 'nightly');
    await userEvent.click(screen.getByRole('button', { name: '지금 정리' }));
    await vi.waitFor(() => expect(onClose).toHaveBeenCalled());
    expect(asked.at(-1)?.body).toEqual({ schedule_id: 3 });
  });
});
