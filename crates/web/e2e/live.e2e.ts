/** The page knows what the service knows, without being loaded again. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { api, API_DOOR, behind, fresh, launch, login, Program, SIMULATOR_URL, text, visit } from './stack';

let browser: Browser;
let program: Program;

beforeAll(async () => {
  browser = await launch();
  program = await new Program().login();
});
afterAll(() => browser.close());

describe('live', () => {
  it.runIf(SIMULATOR_URL)('a guest that somebody removed is missing, without a reload', async () => {
    const seen = await visit(browser);
    const { page } = seen;
    const name = fresh('gone');
    const { vmid } = await program.server(name);
    await login(seen, `/servers?q=${name}`);
    const row = page.locator(`[data-server="${name}"]`);
    await row.getByText(text('status.server.running')).waitFor();
    await page.evaluate(() => document.body.setAttribute('data-same-page', 'yes'));
    await behind(`/guests/${String(vmid)}/destroy`);
    await row.getByText(text('status.server.missing')).waitFor({ timeout: 90_000 });
    expect(await page.locator('body').getAttribute('data-same-page')).toBe('yes');
    expect(seen.faults).toEqual([]);
    await seen.context.close();
  });

  it('a session that ended keeps what was entered', async () => {
    const one = await visit(browser);
    const { page } = one;
    await login(one, '/servers/new');
    const name = fresh('kept');
    await page.getByLabel(text('column.name')).fill(name);
    const mine = await program.ask<{ sessions: { id: string; agent: string }[] }>('GET', '/api/auth/sessions');
    for (const session of mine.sessions) {
      if (session.agent.includes('Chrom')) await program.ask('DELETE', `/api/auth/sessions/${session.id}`);
    }
    const overlay = page.getByRole('dialog');
    await overlay.getByText(text('session.endedText')).waitFor({ timeout: 60_000 });
    await overlay.locator('input[name=password]').fill(process.env['ADMIN_PASSWORD'] ?? '');
    await page.keyboard.press('Enter');
    await overlay.waitFor({ state: 'hidden' });
    expect(await page.getByLabel(text('column.name')).inputValue()).toBe(name);
    await page.locator('[data-live=live]').waitFor();
    expect(one.faults).toEqual([]);
    await one.context.close();
  });

  it.runIf(API_DOOR)('an api that restarts costs nothing', async () => {
    const one = await visit(browser);
    const { page } = one;
    const name = fresh('back');
    const { id } = await program.server(name);
    await login(one, `/servers/${String(id)}`);
    await page.getByTestId('status').getByText(text('status.server.running')).waitFor();
    // The worker goes on with it while there is no api.
    await program.ask('PUT', `/api/servers/${String(id)}/status`, { status: 'stopped' });
    await api('stop');
    await page.locator('[data-live=lost]').waitFor({ timeout: 60_000 });
    await api('start');
    await page.locator('[data-live=live]').waitFor({ timeout: 60_000 });
    await page.getByTestId('status').getByText(text('status.server.stopped')).waitFor({ timeout: 60_000 });
    // What the browser says of a host that is not there is no fault of the page.
    const own = one.faults.filter((fault) => !/ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|status of 50[0-4]/.test(fault));
    expect(own).toEqual([]);
    await one.context.close();
  });
});
