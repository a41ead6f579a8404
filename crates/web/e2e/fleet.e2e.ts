/** Ten thousand servers: how soon there are rows, and how smoothly they pass by. The answers are made up, the page is not. */
import type { Browser, Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BASE_URL, launch, login, visit } from './stack';

const TOTAL = 10_000;

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

function server(n: number) {
  return {
    id: n + 1, name: `fleet-${String(n + 1).padStart(5, '0')}`, ip_address: `10.${String(n >> 16)}.${String((n >> 8) & 255)}.${String(n & 255)}`,
    role: ['web', 'was', 'db'][n % 3], status: n % 50 === 7 ? 'error' : 'running', cpu: 2, memory: 4096, disk_size: 50,
    created_at: '2026-01-01T00:00:00Z', updated_at: '2026-01-01T00:00:00Z', vmid: 10_000 + n, node: `pve${String((n % 3) + 1)}`,
    engine: 'direct', project: 'default', expires_at: null, on_expiry: null, drift: [], tags: [], description: null,
    imported: false, error: null,
  };
}

function answer(route: Route): Promise<void> {
  const query = new URL(route.request().url()).searchParams;
  const offset = Number(query.get('offset') ?? 0);
  const count = Math.max(0, Math.min(Number(query.get('limit') ?? 50), TOTAL - offset));
  return route.fulfill({ json: { servers: Array.from({ length: count }, (_, n) => server(offset + n)), total: TOTAL } });
}

describe('ten thousand servers', () => {
  it('are all reached, and only those in sight are drawn', async () => {
    const one = await visit(browser);
    const { page } = one;
    await login(one);
    await page.route(/\/api\/servers(\?|$)/, answer);
    await page.goto(`${BASE_URL}/servers`);
    await page.locator('[data-server="fleet-00001"]').waitFor();

    await page.evaluate(() => {
      const box = document.querySelector('[role=table]');
      if (box) box.scrollTop = box.scrollHeight;
    });
    await page.locator('[data-server="fleet-10000"]').waitFor();
    expect(await page.locator('[data-server]').count()).toBeLessThan(80);
    expect(one.faults).toEqual([]);
    await one.context.close();
  });
});
