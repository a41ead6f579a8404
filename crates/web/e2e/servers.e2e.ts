/** Servers are made, switched and deleted by the page. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fresh, launch, login, Program, text, visit } from './stack';

let browser: Browser;
let program: Program;

beforeAll(async () => {
  browser = await launch();
  program = await new Program().login();
});
afterAll(() => browser.close());

async function fill(page: Page, name: string, count: number): Promise<void> {
  await page.getByLabel(text('column.name')).fill(name);
  await page.getByLabel(text('create.count')).fill(String(count));
  await page.getByLabel(text('create.cpu')).fill('1');
  await page.getByLabel(text('create.memory')).fill('512');
  await page.getByLabel(text('create.disk')).fill('10');
}

describe('servers', () => {
  it('one is made, stopped, started, restarted and deleted', async () => {
    const one = await visit(browser);
    const { page } = one;
    const name = fresh('one');
    await login(one, '/servers/new');
    await fill(page, name, 1);
    // Where it would go is shown before it is asked for.
    await page.getByText(text('create.why')).waitFor();
    await page.getByText(text('create.room')).waitFor();
    await page.getByRole('button', { name: text('create.submit'), exact: true }).click();
    await page.waitForURL(/\/tasks\/task_/);
    const ended = page.getByTestId('task-status').getByText(text('status.task.completed'));
    await ended.waitFor({ timeout: 120_000 });
    await page.getByRole('link', { name }).first().click();
    const status = page.getByTestId('status');
    await status.getByText(text('status.server.running')).waitFor();
    await page.getByText(text('rung.address')).waitFor();

    for (const [act, then] of [
      ['stopped', 'stopped'],
      ['running', 'running'],
      ['restarted', 'restarting'],
    ] as const) {
      await page.getByRole('button', { name: text(`power.${act}`), exact: true }).click();
      await page.getByRole('dialog').getByRole('button', { name: text(`power.${act}`), exact: true }).click();
      await page.getByRole('dialog').waitFor({ state: 'hidden' });
      await status.getByText(text(`status.server.${then}`)).waitFor({ timeout: 60_000 });
    }
    await status.getByText(text('status.server.running')).waitFor({ timeout: 60_000 });

    await page.getByRole('button', { name: text('power.delete'), exact: true }).click();
    const dialog = page.getByRole('dialog');
    const confirm = dialog.getByRole('button', { name: text('power.delete'), exact: true });
    expect(await confirm.isDisabled()).toBe(true);
    await dialog.getByRole('textbox').fill(name);
    await confirm.click();
    await dialog.waitFor({ state: 'hidden' });
    await page.getByText(text('server.gone')).waitFor({ timeout: 60_000 });
    expect(one.faults).toEqual([]);
    await one.context.close();
  });

  it('ten are made at once and deleted together', async () => {
    const ten = await visit(browser);
    const { page } = ten;
    const name = fresh('ten');
    await login(ten, '/servers/new');
    await fill(page, name, 10);
    await page.getByRole('button', { name: text('create.submitMany', { count: 10 }) }).click();
    await page.waitForURL(/\/tasks\/task_/);
    await page.getByTestId('task-status').getByText(text('status.task.completed')).waitFor({ timeout: 170_000 });
    await page.goto(`${new URL(page.url()).origin}/servers?q=${name}`);
    const rows = page.locator('[data-server]');
    await expect.poll(() => rows.count()).toBe(10);
    await expect.poll(() => rows.getByText(text('status.server.running')).count(), { timeout: 30_000 }).toBe(10);

    await page.getByRole('button', { name: text('servers.selectAll', { number: 10 }) }).click();
    await page.getByRole('toolbar').getByRole('button', { name: text('power.delete') }).click();
    const dialog = page.getByRole('dialog');
    // It is said what goes, and that has to be typed.
    await dialog.getByText(`${name}-10`).waitFor();
    await dialog.getByRole('textbox').fill(text('servers.deleteWord', { count: 10 }));
    await dialog.getByRole('button', { name: text('power.delete'), exact: true }).click();
    await page.waitForURL(/\/tasks\/task_/);
    await page.getByTestId('task-status').getByText(text('status.task.completed')).waitFor({ timeout: 120_000 });
    expect(ten.faults).toEqual([]);
    await ten.context.close();
  });

  it('tells the service’s reason at the field', async () => {
    const visitor = await visit(browser);
    const { page } = visitor;
    const name = fresh('held');
    await program.server(name);
    await login(visitor, '/servers/new');
    await fill(page, name, 1);
    await page.getByText(text('create.namesTaken', { count: 1, names: name })).waitFor();
    await page.getByLabel(text('create.cpu')).fill('100000');
    await page.getByRole('button', { name: text('create.submit'), exact: true }).click();
    const field = page.getByLabel(text('create.cpu'));
    await expect.poll(() => field.getAttribute('aria-invalid')).toBe('true');
    expect(visitor.faults).toEqual([]);
    await visitor.context.close();
  });
});
