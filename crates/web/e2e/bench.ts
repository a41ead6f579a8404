/**
 * How soon the list of servers is there, and how smoothly it passes by: `ROUNDS` times, written to `RESULT`.
 * In the service are servers called `fleet-…`, and a page of others called `few-…`.
 */
import { writeFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { BASE_URL, launch, login, visit } from './stack';

/** Between two frames of a screen that shows sixty in a second. */
const FRAME_MS = 1000 / 60;
const FRAMES = 240;
/** Eleven rows in a frame: a quick hand on a wheel. */
const STEP_PX = 400;

interface Round {
  /** From going to the page to its first pixels, and to rows with data. */
  paint_ms: number;
  rows_ms: number;
  few_rows_ms: number;
  /** While it is scrolled: frames that were due, those that did not come, the longest time without one. */
  due: number;
  dropped: number;
  longest_ms: number;
}

/** Measured inside the page, on its own clock, from the start of the navigation to the frame that shows rows. */
async function open(page: Page, path: string): Promise<{ paint: number; rows: number }> {
  await page.goto(BASE_URL + path, { waitUntil: 'commit' });
  return page.evaluate(async () => {
    while (!document.querySelector('[data-server]')) await new Promise((next) => requestAnimationFrame(next));
    const rows = performance.now();
    const paint = performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? rows;
    return { paint, rows };
  });
}

async function scroll(page: Page): Promise<number[]> {
  return page.evaluate(
    async ({ frames, step }) => {
      const box = document.querySelector('[role=table]');
      if (!box) throw new Error('no table');
      const next = (): Promise<number> => new Promise((done) => requestAnimationFrame(done));
      const took: number[] = [];
      let before = await next();
      for (let n = 0; n < frames; n += 1) {
        box.scrollTop += step;
        const now = await next();
        took.push(now - before);
        before = now;
      }
      return took;
    },
    { frames: FRAMES, step: STEP_PX },
  );
}

async function round(browser: Browser, n: number): Promise<Round> {
  const one = await visit(browser);
  const { page } = one;
  await login(one, '/account');
  // The files of the page are fetched once for both sides, which then go first in turn.
  await open(page, '/servers?q=few-');
  const early = n % 2 === 0 ? await open(page, '/servers?q=few-') : null;
  const all = await open(page, '/servers');
  const took = await scroll(page);
  await page.evaluate(() => {
    const box = document.querySelector('[role=table]');
    if (box) box.scrollTop = box.scrollHeight;
  });
  await page.locator('[data-server]').last().waitFor();
  const few = early ?? (await open(page, '/servers?q=few-'));
  expect(one.faults).toEqual([]);
  await one.context.close();
  const due = took.reduce((sum, ms) => sum + Math.max(1, Math.round(ms / FRAME_MS)), 0);
  return {
    paint_ms: all.paint, rows_ms: all.rows, few_rows_ms: few.rows,
    due, dropped: due - took.length, longest_ms: Math.max(...took),
  };
}

it('is measured', async () => {
  const browser = await launch();
  const rounds: Round[] = [];
  for (let n = 0; n < Number(process.env['ROUNDS'] ?? 5); n += 1) rounds.push(await round(browser, n));
  await browser.close();
  expect(rounds.length).toBeGreaterThan(0);
  writeFileSync(process.env['RESULT'] ?? 'artifacts/bench.json', JSON.stringify(rounds));
});
