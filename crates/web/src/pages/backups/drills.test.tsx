import { screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Backup } from '../../api/backups';
import type { Drill } from '../../api/drills';
import { draw, faultOfField, ME } from '../../testing/draw';
import { refusal, service, wrongFields } from '../../testing/service';
import { BackupRows } from './BackupRows';
import BackupsPage from './BackupsPage';
import { requestOf, wishOf, wordsOf } from './drill';
import { DrillForm } from './DrillForm';
import { evidenceOf } from './evidence';

ME.permissions.push('backups:read', 'backups:write');

const BACKUP: Backup = {
  id: 1, server_id: 7, server_name: 'web-01', backup_id: 'backup_1', status: 'completed', backup_type: 'full', origin: 'asked',
  size: '1B', size_bytes: 1, vmid: 10000, node: 'pve1', storage: 'backup', volume: 'v', mode: 'snapshot', compress: 'zstd',
  notes: '', protected: false, warnings: [], error: null, verified_at: null, verified_by: null,
  created_at: '2026-01-01T00:00:00Z', finished_at: null, schedule_id: null, condemned: false,
};
const DRILL: Drill = {
  id: 5, drill_id: 'drill_5', backup_id: 'backup_1', server_id: 7, server_name: 'web-01', status: 'passed', goal: 'agent',
  command: [], schedule_id: 3, task_id: 'task_5', error: null, digest: null, created_at: '2026-01-01T00:00:00Z',
  decided_at: '2026-01-01T00:01:30Z', cleared_at: '2026-01-01T00:01:40Z', evidence: null, evidence_text: null,
};
const AT = Date.parse('2026-01-01T00:00:10Z');
const step = (name: string, seen: object | null, more: object = {}) => ({
  step: name, state: 'done', attempts: 1, started_at_ms: AT, finished_at_ms: AT + 2000, seen, ...more,
});
const EVIDENCE = {
  backup: 'backup_1', vmid: 10007, node: 'pve1', ip_address: '198.18.0.10',
  steps: [
    step('isolate', { node: 'pve1', bridges: [{ bridge: 'vmbr1', ports: [] }] }),
    step('restore', { node: 'pve1', upid: 'UPID:1', log: ['restore vma archive', 'progress 100%'] }, { attempts: 2 }),
    step('agent', { agent: 'answers' }), step('address', { looked_at: false }), step('later', null, { state: 'pending' }),
  ],
};
const WHOLE: Drill = {
  ...DRILL, evidence: EVIDENCE as unknown as Drill['evidence'], evidence_text: '{"backup":"backup_1"}', digest: 'ab'.repeat(32),
};
const LISTS = { 'GET /api/backups/schedules': { body: { schedules: [{ id: 3, name: 'weekly' }], total: 1 } } };
const drills = (...all: Drill[]) => ({ ...LISTS, 'GET /api/backups/drills': { body: { drills: all, total: all.length } } });

afterEach(() => vi.restoreAllMocks());

describe('a command', () => {
  it('has an argument in each line, as it was typed', () => {
    expect(wordsOf('/bin/sh\r\n-c\n echo "a  b"\n\n')).toEqual(['/bin/sh', '-c', ' echo "a  b"']);
    expect(wordsOf('/bin/a\n\nb')).toEqual(['/bin/a', '', 'b']);
    expect(wordsOf('\n')).toEqual([]);
  });

  it('that was not touched stays, with words of several lines', () => {
    const before = { goal: null, command: ['/bin/sh', '-c', 'one\ntwo', ''] };
    expect(requestOf(wishOf(before), before)).toEqual({ command: before.command });
    expect(requestOf({ goal: 'agent', command: '/bin/true' }, before)).toEqual({ goal: 'agent', command: ['/bin/true'] });
  });
});

describe('evidence', () => {
  it('is read as far as it can be', () => {
    expect(evidenceOf(null)).toBeNull();
    expect(evidenceOf({ steps: [{ step: 'start', state: 'done' }], vmid: 'x' })).toMatchObject({
      vmid: null, node: null, steps: [{ step: 'start', attempts: 0, seen: null }],
    });
  });
});

describe('DrillForm', () => {
  const POST = 'POST /api/backups/backup_1/drill';
  const begin = () => userEvent.click(screen.getByRole('button', { name: '훈련 시작' }));
  const command = () => screen.getByLabelText(/^게스트에서 실행할 명령/);
  const type = async (text: string) => {
    await userEvent.clear(command());
    await userEvent.click(command());
    await userEvent.paste(text);
  };

  it('says where it runs, sends what is usual as nothing, and goes to the task', async () => {
    const done = { success: true, message: '시작', task_id: 'task_9', drill_id: 'drill_9', backup_id: 'backup_1', server_id: 9 };
    const asked = service({ [POST]: { status: 201, body: done } });
    const onClose = vi.fn();
    const { router } = draw(<DrillForm backup={BACKUP} onClose={onClose} />);
    await screen.findByText(/아무 데도 연결되지 않은 브리지/);
    await begin();
    await vi.waitFor(() => expect(onClose).toHaveBeenCalled());
    expect(asked[0]?.body).toEqual({});
    expect(router.state.location.pathname).toBe('/tasks/task_9');
  });

  it('sends a goal with its help, and each line as an argument', async () => {
    const asked = service({ [POST]: wrongFields({}) });
    draw(<DrillForm backup={BACKUP} onClose={vi.fn()} />);
    await userEvent.click(await screen.findByRole('combobox', { name: '어디까지 확인합니까' }));
    await userEvent.click(await screen.findByRole('option', { name: '켜짐' }));
    await screen.findByText(/디스크의 내용은 알 수 없습니다/);
    await type('/usr/bin/psql\n-c\nselect 1\n');
    await begin();
    await vi.waitFor(() => expect(asked[0]?.body).toEqual({ goal: 'started', command: ['/usr/bin/psql', '-c', 'select 1'] }));
  });

  it('wants a program, and keeps lines in their bounds', async () => {
    const asked = service({});
    draw(<DrillForm backup={BACKUP} onClose={vi.fn()} />);
    await screen.findByText(/아무 데도 연결되지 않은 브리지/);
    await type('\n-c');
    await begin();
    await vi.waitFor(() => expect(faultOfField(command())).toContain('첫 줄은'));
    await type(Array(33).fill('x').join('\n'));
    await vi.waitFor(() => expect(faultOfField(command())).toContain('32줄까지'));
    await type(`/bin/echo\n${'x'.repeat(1001)}`);
    await vi.waitFor(() => expect(faultOfField(command())).toContain('2번째 줄'));
    expect(asked).toEqual([]);
  });

  it('puts the service’s reasons at their fields', async () => {
    service({ [POST]: wrongFields({ 'command[1]': '너무 깁니다', goal: '없는 목표입니다', engine: '모르는 항목입니다' }) });
    draw(<DrillForm backup={BACKUP} onClose={vi.fn()} />);
    await screen.findByText(/아무 데도 연결되지 않은 브리지/);
    await type('/bin/echo\nx');
    await begin();
    await vi.waitFor(() => expect(faultOfField(command())).toContain('너무 깁니다'));
    expect(faultOfField(screen.getByRole('combobox', { name: '어디까지 확인합니까' }))).toContain('없는 목표입니다');
    screen.getByText('engine: 모르는 항목입니다');
  });

  it('says which network has to be made, and where', async () => {
    const refused = refusal('NO_DRILL_NETWORK', '네트워크가 필요합니다', { network: 'apart' });
    service({ [POST]: { status: 409, body: refused } });
    draw(<DrillForm backup={BACKUP} onClose={vi.fn()} />);
    await screen.findByText(/아무 데도 연결되지 않은 브리지/);
    await begin();
    await screen.findByText('네트워크가 필요합니다');
    screen.getByText(/이름이 apart인 네트워크를/);
    expect(screen.getByRole('link', { name: '네트워크로 가기' }).getAttribute('href')).toBe('/networks');
    expect(screen.queryByText('NO_DRILL_NETWORK')).toBeNull();
  });
});

describe('BackupRows', () => {
  it('tells when and how one was verified, and lets good ones be tried', async () => {
    service({});
    const good = { ...BACKUP, verified_at: '2026-01-02T00:00:00Z', verified_by: 'drill' };
    const failed: Backup = { ...BACKUP, id: 2, backup_id: 'backup_2', server_name: 'db-01', status: 'failed', volume: null };
    draw(<BackupRows backups={[good, failed]} />);
    const row = within(await screen.findByRole('row', { name: /web-01/ }));
    row.getByText(/2026.*복원 훈련을 통과함/);
    expect(within(screen.getByRole('row', { name: /db-01/ })).getByRole('button', { name: '복원 훈련' })).toHaveProperty('disabled', true);
    await userEvent.click(row.getByRole('button', { name: '복원 훈련' }));
    await screen.findByRole('dialog', { name: /web-01 복원 훈련/ });
  });
});

describe('the tab of drills', () => {
  it('lists them, by state, and shows one with what was seen', async () => {
    const broken = vi.spyOn(console, 'error');
    const failed: Drill = { ...DRILL, id: 6, drill_id: 'drill_6', server_name: 'db-01', status: 'failed', schedule_id: null, error: '응답하지 않습니다' };
    service({ ...drills(DRILL, failed), 'GET /api/backups/drills/drill_5': { body: WHOLE } });
    const { router } = draw(<BackupsPage />, '/backups?tab=drills');
    const row = within(await screen.findByRole('row', { name: /web-01/ }));
    for (const told of ['통과', '에이전트 응답', '1 min 30 s', 'backup_1']) row.getByText(told);
    await row.findByText('예약 weekly');
    const other = within(screen.getByRole('row', { name: /db-01/ }));
    for (const told of ['실패', '직접 요청', '응답하지 않습니다']) other.getByText(told);

    await userEvent.click(row.getByRole('button', { name: '자세히' }));
    expect(router.state.location.search).toBe('?tab=drills&drill=drill_5');
    const dialog = within(await screen.findByRole('dialog', { name: 'web-01의 복원 훈련' }));
    for (const told of ['격리된 브리지 확인', '백업 복원', '게스트 에이전트 응답 대기', 'later']) dialog.getByText(told);
    dialog.getByText('VMID 10007, 노드 pve1, 주소 198.18.0.10');
    dialog.getByText('요청하지 않아 보지 않음');
    dialog.getByText('bridges: [{"bridge":"vmbr1","ports":[]}]');
    dialog.getByText(/ · 2 s · 시도 2번$/);
    expect(dialog.getByRole('region', { name: 'Proxmox VE의 복원 로그' }).textContent).toBe('restore vma archive\nprogress 100%');
    expect(dialog.getByRole('region', { name: '증거 (JSON)' }).textContent).toBe('{"backup":"backup_1"}');
    dialog.getByText('ab'.repeat(32));
    dialog.getByRole('button', { name: '증거의 SHA-256 복사' });
    expect(dialog.getByRole('link', { name: '작업의 진행 보기' }).getAttribute('href')).toBe('/tasks/task_5');
    await userEvent.click(dialog.getByRole('button', { name: '닫기' }));
    expect(router.state.location.search).toBe('?tab=drills');

    await userEvent.click(screen.getByRole('combobox', { name: '상태' }));
    await userEvent.click(await screen.findByRole('option', { name: '취소됨' }));
    expect(router.state.location.search).toBe('?tab=drills&status=cancelled');
    expect(broken.mock.calls).toEqual([]);
  });

  it('says that one is not decided yet, or could not begin', async () => {
    const running: Drill = { ...DRILL, status: 'running', decided_at: null, cleared_at: null };
    service({ ...drills(running), 'GET /api/backups/drills/drill_5': { body: running } });
    const drawn = draw(<BackupsPage />, '/backups?tab=drills&drill=drill_5');
    await screen.findByText(/아직 진행 중입니다/);
    screen.getByText('아직 확인되지 않음');
    drawn.unmount();
    const roomless: Drill = { ...DRILL, status: 'failed', task_id: null, cleared_at: null, error: '자리가 없습니다' };
    service({ ...drills(), 'GET /api/backups/drills/drill_5': { body: roomless } });
    draw(<BackupsPage />, '/backups?tab=drills&drill=drill_5');
    await screen.findByText('자리가 없습니다');
    screen.getByText('만들어지지 않음');
    screen.getByText(/시작하지 못하여/);
  });

  it('says that a drill is not there', async () => {
    service(drills(DRILL));
    draw(<BackupsPage />, '/backups?tab=drills&drill=drill_gone');
    const dialog = within(await screen.findByRole('dialog'));
    await dialog.findByText('NOT_FOUND');
  });

  it('says that there are none, that it cannot be asked, or that one may not see them', async () => {
    service(drills());
    const none = draw(<BackupsPage />, '/backups?tab=drills');
    await screen.findByText('복원 훈련이 없습니다');
    screen.getByText(/완료된 백업의/);
    none.unmount();
    service({ 'GET /api/backups/drills': { status: 500, body: refusal('INTERNAL_ERROR', '서비스의 오류입니다') } });
    const fault = draw(<BackupsPage />, '/backups?tab=drills');
    await screen.findByText('서비스의 오류입니다');
    screen.getByRole('button', { name: '다시 시도' });
    fault.unmount();
    service({ 'GET /api/backups/drills': { status: 403, body: refusal('FORBIDDEN', '') } });
    draw(<BackupsPage />, '/backups?tab=drills');
    await screen.findByText('FORBIDDEN');
  });
});
