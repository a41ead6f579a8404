/** Login, language, colours, phone width, accessibility. */
import { AxeBuilder } from '@axe-core/playwright';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pagePaths } from './places';
import { BASE_URL, fresh, launch, login, Program, settled, text, visit } from './stack';

let browser: Browser;
let program: Program;

beforeAll(async () => {
  browser = await launch();
  program = await new Program().login();
});
afterAll(() => browser.close());

describe('looks', () => {
  it('a wrong password is refused with the reason', async () => {
    const one = await visit(browser);
    const { page } = one;
    await page.goto(BASE_URL);
    await page.getByRole('button', { name: text('login.submit') }).click();
    await page.getByText(text('login.usernameNeeded')).waitFor();
    await page.locator('input[name=username]').fill(fresh('nobody'));
    await page.locator('input[name=password]').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    expect(one.faults).toEqual([]);
    await one.context.close();
  });

  it('the language is switched at once, and kept', async () => {
    const one = await visit(browser);
    const { page } = one;
    await login(one);
    await page.getByRole('heading', { name: text('nav.overview'), level: 1 }).waitFor();
    await page.getByLabel(text('shell.person', { name: 'admin' })).click();
    await page.getByText('English', { exact: true }).click();
    await page.getByRole('heading', { name: text('nav.overview', {}, 'en'), level: 1 }).waitFor();
    expect(await page.locator('html').getAttribute('lang')).toBe('en');
    await page.reload();
    await page.getByRole('heading', { name: text('nav.overview', {}, 'en'), level: 1 }).waitFor();
    await page.getByLabel(text('shell.person', { name: 'admin' }, 'en')).click();
    await page.getByText('한국어', { exact: true }).click();
    await page.getByRole('heading', { name: text('nav.overview'), level: 1 }).waitFor();
    expect(one.faults).toEqual([]);
    await one.context.close();
  });

  it('the colours are switched and kept', async () => {
    const one = await visit(browser);
    const { page } = one;
    await login(one);
    const scheme = () => page.locator('html').getAttribute('data-mantine-color-scheme');
    expect(await scheme()).toBe('light');
    await page.getByLabel(text('shell.person', { name: 'admin' })).click();
    await page.getByText(text('shell.dark'), { exact: true }).click();
    await expect.poll(scheme).toBe('dark');
    await page.reload();
    await page.locator('[data-live=live]').waitFor();
    expect(await scheme()).toBe('dark');
    expect(one.faults).toEqual([]);
    await one.context.close();
  });

  it('keys go to the search, the help and the palette', async () => {
    const one = await visit(browser);
    const { page } = one;
    await login(one, '/servers');
    await page.locator('[data-page-search]').waitFor();
    await page.keyboard.press('/');
    expect(await page.evaluate(() => document.activeElement?.hasAttribute('data-page-search'))).toBe(true);
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    await page.keyboard.press('?');
    await page.getByRole('dialog').getByText(text('help.lead')).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await page.keyboard.press('Control+k');
    await page.getByRole('dialog').getByRole('textbox').fill(text('nav.audit'));
    await page.getByRole('option', { name: text('nav.audit') }).waitFor();
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/audit/);
    expect(one.faults).toEqual([]);
    await one.context.close();
  });

  it('somebody who may only look is offered no more, and told why', async () => {
    const name = fresh('viewer');
    const password = `pass-${fresh('word')}-long`;
    await program.ask('POST', '/api/users', { username: name, password, roles: ['viewer'] });
    const one = await visit(browser);
    const { page } = one;
    await page.goto(`${BASE_URL}/access`);
    await page.locator('input[name=username]').fill(name);
    await page.locator('input[name=password]').fill(password);
    await page.keyboard.press('Enter');
    await page.locator('[data-live=live]').waitFor();
    await page.getByText(text('state.forbiddenText')).waitFor();
    const main = page.getByRole('navigation', { name: text('shell.navigation') });
    expect(await main.getByText(text('nav.servers'), { exact: true }).count()).toBe(1);
    expect(await main.getByText(text('nav.access'), { exact: true }).count()).toBe(0);
    expect(await page.getByRole('link', { name: text('nav.create') }).count()).toBe(0);
    expect(one.faults).toEqual([]);
    await one.context.close();
  });

  it('on a phone one can look and switch', async () => {
    const one = await visit(browser, { width: 375, height: 812 });
    const { page } = one;
    const name = fresh('phone');
    const { id } = await program.server(name);
    await login(one, `/servers?q=${name}`);
    await page.locator(`[data-server="${name}"]`).waitFor();
    for (const path of await pagePaths(program)) {
      await page.goto(BASE_URL + path);
      await page.locator('h1').waitFor();
      const wider = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
      expect(wider, `${path} is wider than the phone`).toBe(false);
    }
    await page.goto(`${BASE_URL}/servers/${String(id)}`);
    await page.getByRole('button', { name: text('power.stopped'), exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: text('power.stopped'), exact: true }).click();
    await page.getByTestId('status').getByText(text('status.server.stopped')).waitFor({ timeout: 60_000 });
    expect(one.faults).toEqual([]);
    await one.context.close();
  });

  it.each(['light', 'dark'] as const)('axe finds nothing serious on any page (%s)', async (scheme) => {
    const one = await visit(browser, { scheme });
    const { page } = one;
    const found: string[] = [];
    const look = async (path: string): Promise<void> => {
      const axe = new AxeBuilder({ page });
      // What the colours have no part in was looked at in the light.
      const { violations } = await (scheme === 'dark' ? axe.withRules(['color-contrast', 'link-in-text-block']) : axe).analyze();
      for (const { id, impact, nodes } of violations) {
        if (impact === 'serious' || impact === 'critical') found.push(`${path} ${id}: ${nodes[0]?.html ?? ''}`);
      }
    };
    await page.goto(BASE_URL);
    await page.locator('input[name=username]').waitFor();
    await look('login');
    await login(one);
    for (const path of await pagePaths(program)) {
      await page.goto(BASE_URL + path);
      await settled(page);
      await look(path);
    }
    expect(found).toEqual([]);
    expect(one.faults).toEqual([]);
    await one.context.close();
  }, 480_000);
});
