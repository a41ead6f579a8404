/**
 * The live stack that is tested, by the environment:
 * `BASE_URL` where the page is, `ADMIN_PASSWORD`, `SIMULATOR_URL` the simulator's control door,
 * `CHROMIUM` the browser, `API_DOOR` where the api is stopped and started, and where channels may post to.
 */
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import ko from '../src/i18n/ko.json' with { type: 'json' };
import en from '../src/i18n/en.json' with { type: 'json' };

export const BASE_URL = process.env['PAGE_URL'] ?? '';
export const PASSWORD = process.env['ADMIN_PASSWORD'] ?? '';
export const SIMULATOR_URL = process.env['SIMULATOR_URL'];
export const API_DOOR = process.env['API_DOOR'];

type Texts = { [key: string]: string | Texts };

/** A text of the page, as a person reads it. */
export function text(key: string, values: Record<string, string | number> = {}, language: 'ko' | 'en' = 'ko'): string {
  let found: string | Texts | undefined = language === 'ko' ? ko : en;
  for (const part of key.split('.')) found = typeof found === 'object' ? found[part] : undefined;
  if (typeof found !== 'string') throw new Error(`no text ${key}`);
  return Object.entries(values).reduce((all, [name, value]) => all.replaceAll(`{{${name}}}`, String(value)), found);
}

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
}

export interface Visit {
  context: BrowserContext;
  page: Page;
  language: 'ko' | 'en';
  /** What must not be: errors in the console, requests to other hosts. */
  faults: string[];
}

interface Looks {
  language?: 'ko' | 'en';
  scheme?: 'light' | 'dark';
  width?: number;
  height?: number;
}

/** A browser of somebody new. Answers of 4xx are the service's word and no fault of the page. */
export async function visit(browser: Browser, looks: Looks = {}): Promise<Visit> {
  const { language = 'ko', scheme = 'light', width = 1280, height = 860 } = looks;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    locale: language === 'ko' ? 'ko-KR' : 'en-GB',
  });
  await context.addInitScript((wanted) => {
    if (!localStorage.getItem('tpm.language')) localStorage.setItem('tpm.language', wanted);
  }, language);
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const faults: string[] = [];
  page.on('console', (message) => {
    const answered = /^Failed to load resource: the server responded with a status of 4\d\d/.test(message.text());
    if (message.type() === 'error' && !answered) faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (['data:', 'blob:'].includes(url.protocol)) return;
    if (url.origin !== new URL(BASE_URL).origin) faults.push(`request to ${url.origin}`);
  });
  return { context, page, language, faults };
}

/** Somebody's own language, where they have chosen one, is what the page speaks after the login. */
export async function login({ page, language }: Visit, path = '/'): Promise<void> {
  await (await new Program().login()).ask('PATCH', '/api/auth/me', { language });
  await page.goto(BASE_URL + path);
  await page.locator('input[name=username]').fill('admin');
  await page.locator('input[name=password]').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('[data-live=live]').waitFor();
}

/** The API, as a program uses it, in a session of its own. */
export class Program {
  #cookie = '';

  async login(): Promise<this> {
    const answer = await fetch(`${BASE_URL}/api/auth/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username: 'admin', password: PASSWORD }),
    });
    if (!answer.ok) throw new Error(`login: ${String(answer.status)}`);
    this.#cookie = (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
    return this;
  }

  async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch(BASE_URL + path, {
      method,
      headers: { Cookie: this.#cookie, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const said: unknown = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${JSON.stringify(said)}`);
    return said as T;
  }

  /** Asks until it is so; who calls has a time limit. */
  async until<T>(method: string, path: string, isSo: (said: T) => boolean): Promise<T> {
    for (;;) {
      const said = await this.ask<T>(method, path);
      if (isSo(said)) return said;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }

  /** Waits until a task has ended. */
  async ended(id: string): Promise<string> {
    const over = ({ status }: { status: string }): boolean => status !== 'pending' && status !== 'running';
    return (await this.until('GET', `/api/tasks/${id}`, over)).status;
  }

  /** A server that runs. */
  async server(name: string): Promise<{ id: number; vmid: number }> {
    const made = await this.ask<{ task_id: string; server_id: number }>('POST', '/api/servers/create', {
      name, role: 'web', cpu: 1, memory: 512, disk_size: 10,
    });
    const status = await this.ended(made.task_id);
    if (status !== 'completed') throw new Error(`${name}: ${status}`);
    const { vmid } = await this.ask<{ vmid: number }>('GET', `/api/servers/${String(made.server_id)}`);
    return { id: made.server_id, vmid };
  }
}

/** The network that backups are tried on, on a bridge of its own; made where there is none. */
export async function apart(program: Program): Promise<void> {
  const { networks } = await program.ask<{ networks: { name: string }[] }>('GET', '/api/networks');
  if (networks.some((network) => network.name === 'drill')) return;
  await program.ask('POST', '/api/networks', { name: 'drill', range: '198.18.0.10-198.18.1.250', prefix: 16, bridge: 'vmbr1' });
}

/** Does something to the simulated cluster behind the service's back. */
export async function behind(path: string, body: object = {}): Promise<void> {
  const answer = await fetch(`${SIMULATOR_URL ?? ''}${path}`, { method: 'POST', body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
}

/** Stops or starts the api; comes back when that is done. */
export async function api(act: 'stop' | 'start'): Promise<void> {
  const answer = await fetch(`${API_DOOR ?? ''}/${act}`, { method: 'POST' });
  if (!answer.ok) throw new Error(`${act}: ${await answer.text()}`);
}

/** Comes back when nothing on the page moves any more; what moves for ever does not count. */
export async function still(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const moves = (one: Animation): boolean => Number.isFinite(one.effect?.getComputedTiming().endTime);
    return !document.getAnimations().some(moves);
  });
}

/** Comes back when the page has what it asked for, and stands still. */
export async function settled(page: Page): Promise<void> {
  await page.locator('h1').waitFor();
  const language = (await page.locator('html').getAttribute('lang')) === 'en' ? 'en' : 'ko';
  const loading = `[role=status][aria-label="${text('state.loading', {}, language)}"]`;
  await page.waitForFunction((grey) => document.querySelector(grey) === null, loading);
  await still(page);
}

export function fresh(prefix: string): string {
  return `${prefix}-${Math.random().toString(36).slice(2, 7).replace(/^\d/, 'x')}`;
}
