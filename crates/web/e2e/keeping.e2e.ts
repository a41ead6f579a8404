/** What is kept and told elsewhere: backups, their schedules, their restore and their drills, channels, secrets. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_DOOR, apart, fresh, launch, login, Program, text, visit } from './stack';

let browser: Browser;
let program: Program;

beforeAll(async () => {
  browser = await launch();
  program = await new Program().login();
});
afterAll(() => browser.close());

describe('backups', () => {
  it('one is made, restored as a new server and over its own, and deleted', async () => {
    const one = await visit(browser);
    const { page } = one;
    const name = fresh('kept');
    const { id } = await program.server(name);
    const completed = page.getByTestId('task-status').getByText(text('status.task.completed'));
    await login(one, `/servers/${String(id)}?tab=backups`);
    await page.getByText(text('backup.none')).waitFor();
    await page.getByRole('button', { name: text('backup.new') }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(text('backup.notes')).fill('before the change');
    await dialog.getByRole('button', { name: text('backup.make') }).click();
    await page.waitForURL(/\/tasks\/task_/);
    await completed.waitFor({ timeout: 120_000 });

    await page.goto(`${new URL(page.url()).origin}/servers/${String(id)}?tab=backups`);
    await page.getByText('before the change').waitFor();
    const restore = page.getByRole('button', { name: text('backup.restore'), exact: true });
    await restore.click();
    const copy = fresh('copy');
    await dialog.getByLabel(text('backup.newName')).fill(copy);
    await dialog.getByRole('button', { name: text('backup.restore'), exact: true }).click();
    await page.waitForURL(/\/tasks\/task_/);
    await completed.waitFor({ timeout: 120_000 });
    await page.goto(`${new URL(page.url()).origin}/servers?q=${copy}`);
    await page.locator(`[data-server="${copy}"]`).getByText(text('status.server.running')).waitFor();

    await page.goto(`${new URL(page.url()).origin}/servers/${String(id)}?tab=backups`);
    await restore.click();
    await dialog.getByLabel(text('backup.to_same', { name })).check();
    // What would be replaced has to be typed.
    await dialog.getByRole('button', { name: text('backup.restore'), exact: true }).click();
    const typed = dialog.getByLabel(text('confirm.type', { word: name }));
    await expect.poll(() => typed.getAttribute('aria-invalid')).toBe('true');
    await typed.fill(name);
    await dialog.getByRole('button', { name: text('backup.restore'), exact: true }).click();
    await page.waitForURL(/\/tasks\/task_/);
    await completed.waitFor({ timeout: 120_000 });
    await page.goto(`${new URL(page.url()).origin}/servers/${String(id)}`);
    await page.getByTestId('status').getByText(text('status.server.running')).waitFor();

    await page.getByRole('tab', { name: text('server.tab.backups') }).click();
    // What was there before the restore was kept, too.
    await page.getByText(text('backup.origin_safety')).waitFor();
    const first = page.getByRole('row').filter({ hasText: 'before the change' });
    await first.getByRole('button', { name: text('action.delete') }).click();
    await dialog.getByRole('textbox').fill(name);
    await dialog.getByRole('button', { name: text('action.delete'), exact: true }).click();
    await dialog.waitFor({ state: 'hidden' });
    await first.waitFor({ state: 'detached' });
    expect(one.faults).toEqual([]);
    await one.context.close();
  });
});

describe('drills', () => {
  it('a backup is tried, and what was seen is kept', async () => {
    const one = await visit(browser);
    const { page } = one;
    const name = fresh('tried');
    await apart(program);
    const { id } = await program.server(name);
    const { task_id } = await program.ask<{ task_id: string }>('POST', '/api/backups/create', { server_id: id });
    expect(await program.ended(task_id)).toBe('completed');
    await login(one, `/servers/${String(id)}?tab=backups`);
    await page.getByText(text('backup.notVerified')).waitFor();
    await page.getByRole('button', { name: text('drill.try'), exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText(text('drill.where')).waitFor();
    await dialog.getByRole('button', { name: text('drill.start') }).click();
    await page.waitForURL(/\/tasks\/task_/);
    await page.getByTestId('task-status').getByText(text('status.task.completed')).waitFor({ timeout: 120_000 });

    await page.goto(`${new URL(page.url()).origin}/servers/${String(id)}?tab=backups`);
    await page.getByText(text('backup.by_drill')).waitFor();
    await page.goto(`${new URL(page.url()).origin}/backups?tab=drills`);
    const row = page.getByRole('row').filter({ has: page.getByRole('link', { name }) });
    await row.getByText(text('status.drill.passed')).waitFor();
    await row.getByText(text('drill.asked')).waitFor();
    await row.getByRole('button', { name: text('drill.look') }).click();
    await dialog.getByText(text('drill.step_isolate')).waitFor();
    await dialog.getByText(/^[0-9a-f]{64}$/).waitFor();
    // It stands in the URL.
    expect(new URL(page.url()).searchParams.get('drill')).toMatch(/^drill_/);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    expect(one.faults).toEqual([]);
    await one.context.close();
  });
});

describe('schedules', () => {
  it('one is made, run, its retention previewed and applied, and deleted', async () => {
    const one = await visit(browser);
    const { page } = one;
    const name = fresh('planned');
    const { id } = await program.server(name);
    await login(one, '/backups?tab=schedules');
    await page.getByRole('button', { name: text('schedule.new') }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(text('column.name')).fill(name);
    // The service reads what the page does not: the fifty-first of a month never comes.
    const calendar = dialog.getByLabel(text('schedule.calendar'));
    await calendar.fill('0 2 51 * *');
    await dialog.getByRole('combobox', { name: text('schedule.time_zone') }).fill('Asia/Seoul');
    await page.keyboard.press('Tab');
    await dialog.getByLabel(text('schedule.way_server_ids')).check();
    await dialog.getByRole('combobox', { name: text('nav.servers'), exact: true }).fill(name);
    await page.getByRole('option', { name }).click();
    await page.keyboard.press('Tab');
    const save = dialog.getByRole('button', { name: text('action.save') });
    await save.click();
    await expect.poll(() => calendar.getAttribute('aria-invalid')).toBe('true');
    await calendar.fill('0 2 1 1 *');
    await save.click();
    await dialog.waitFor({ state: 'hidden' });

    const row = page.getByRole('row').filter({ hasText: '0 2 1 1 *' }).filter({ hasText: name });
    await row.getByText(text('schedule.notYet')).waitFor();
    const { schedules } = await program.ask<{ schedules: { id: number; name: string; next_runs: string[] }[] }>('GET', '/api/backups/schedules');
    const made = schedules.find((schedule) => schedule.name === name);
    expect(made?.next_runs[0]).toMatch(/-12-31T17:00:00Z$/);
    await row.locator(`time[datetime="${made?.next_runs[0] ?? ''}"]`).waitFor();

    const run = async (): Promise<void> => {
      const answer = page.waitForResponse((response) => response.url().endsWith('/run'));
      await row.getByRole('button', { name: text('schedule.run') }).click();
      const { run_id } = (await (await answer).json()) as { run_id: number };
      await program.until('GET', `/api/backups/schedules/${String(made?.id)}`, ({ last_run }: { last_run: { id: number; status: string } }) =>
        last_run.id === run_id && last_run.status === 'done');
    };
    await run();
    await row.getByText(text('schedule.askedFor')).waitFor();
    await row.getByText(text('schedule.run_done'), { exact: true }).waitFor();
    await row.getByText(text('schedule.servers_completed', { number: 1 })).waitFor();
    await run();
    await page.getByRole('tab', { name: text('nav.backups') }).click();
    const backups = page.getByRole('row').filter({ has: page.getByRole('link', { name }) }).filter({ hasText: text('backup.origin_schedule') });
    await backups.getByText(text('status.backup.completed')).nth(1).waitFor();

    await page.getByRole('tab', { name: text('schedule.title') }).click();
    const preview = row.getByRole('button', { name: text('schedule.preview') });
    await preview.click();
    await dialog.getByRole('cell', { name: `${text('schedule.rule_keep_all')} 2` }).waitFor();
    // Nothing goes, so that nothing is offered.
    expect(await dialog.getByRole('button', { name: text('schedule.prune') }).count()).toBe(0);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });

    await row.getByRole('button', { name: text('action.edit') }).click();
    await dialog.getByLabel(text('schedule.rule_keep_last')).fill('1');
    await save.click();
    await dialog.waitFor({ state: 'hidden' });
    await row.getByText(`${text('schedule.rule_keep_last')} 1`).waitFor();
    await preview.click();
    await dialog.getByRole('listitem').getByText(text('schedule.by', { rule: text('schedule.rule_keep_last') })).waitFor();
    await dialog.getByRole('listitem').getByText(text('schedule.goes')).waitFor();
    await dialog.getByRole('button', { name: text('schedule.prune') }).click();
    await dialog.getByRole('textbox').fill(name);
    await dialog.getByRole('button', { name: text('schedule.prune') }).click();
    await dialog.waitFor({ state: 'hidden' });
    const kept = `/api/backups?server_id=${String(id)}`;
    await program.until('GET', kept, ({ total }: { total: number }) => total === 1);

    await row.getByRole('button', { name: text('schedule.disable') }).click();
    await row.getByText(text('schedule.notFollowed')).waitFor();
    await row.getByRole('button', { name: text('action.delete') }).click();
    await dialog.getByRole('textbox').fill(name);
    await dialog.getByRole('button', { name: text('action.delete'), exact: true }).click();
    await row.waitFor({ state: 'detached' });
    // What it made stays.
    const { total } = await program.ask<{ total: number }>('GET', kept);
    expect(total).toBe(1);
    expect(one.faults).toEqual([]);
    await one.context.close();
  });
});

describe('channels', () => {
  it.runIf(API_DOOR)('one is made and tried out', async () => {
    const one = await visit(browser);
    const { page } = one;
    const name = fresh('door');
    await login(one, '/notifications?tab=channels');
    await page.getByRole('button', { name: text('channel.new') }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(text('column.name')).fill(name);
    const url = dialog.getByLabel('URL');
    await url.fill('http://10.0.0.1/hook');
    await dialog.getByRole('button', { name: text('action.save') }).click();
    // The service does not call such a place, and says so at the field.
    await expect.poll(() => url.getAttribute('aria-invalid')).toBe('true');
    await url.fill(`${API_DOOR ?? ''}/hook`);
    await dialog.getByRole('button', { name: text('action.save') }).click();
    await dialog.waitFor({ state: 'hidden' });
    await page.getByText(/^whsec_/).waitFor();
    const row = page.getByRole('row').filter({ hasText: name });
    await row.getByRole('button', { name: text('channel.test') }).click();
    await dialog.getByText(text('channel.deliveriesOf', { name })).waitFor();
    await dialog.getByText(text('status.delivery.delivered')).first().waitFor({ timeout: 30_000 });
    await dialog.getByText('HTTP 200').first().waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    await row.getByRole('button', { name: text('action.delete') }).click();
    await dialog.getByRole('textbox').fill(name);
    await dialog.getByRole('button', { name: text('action.delete'), exact: true }).click();
    await row.waitFor({ state: 'detached' });
    expect(one.faults).toEqual([]);
    await one.context.close();
  });
});

describe('secrets', () => {
  it('names alone are shown; what one holds, to who asks for it, and that stands in the audit', async () => {
    const one = await visit(browser);
    const { page } = one;
    const name = fresh('hidden');
    const value = fresh('value');
    const answers: string[] = [];
    page.on('response', (response) => {
      if (response.url().includes('/api/vault/')) void response.text().then((body) => answers.push(body), () => undefined);
    });
    await login(one, '/secrets');
    await page.getByRole('button', { name: text('secret.new') }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(text('secret.path')).fill(`secret/${name}`);
    await dialog.getByLabel(text('secret.fields')).fill(JSON.stringify({ password: value }));
    await dialog.getByRole('button', { name: text('action.save') }).click();
    await dialog.waitFor({ state: 'hidden' });
    const row = page.getByRole('row').filter({ hasText: name });
    await row.waitFor();
    // Neither the page nor anything that it was told holds the value.
    expect(await page.content()).not.toContain(value);
    expect(answers.join('\n')).not.toContain(value);

    await row.getByRole('button', { name: text('secret.reveal') }).click();
    await dialog.getByText(value).waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    expect(await page.content()).not.toContain(value);
    const { audit } = await program.ask<{ audit: unknown[] }>('GET', '/api/audit?limit=20');
    const written = JSON.stringify(audit);
    expect(written).toContain(name);
    expect(written).not.toContain(value);

    await row.getByRole('button', { name: text('action.delete') }).click();
    await dialog.getByRole('textbox').fill(`secret/${name}`);
    await dialog.getByRole('button', { name: text('action.delete'), exact: true }).click();
    await row.waitFor({ state: 'detached' });
    expect(one.faults).toEqual([]);
    await one.context.close();
  });
});
