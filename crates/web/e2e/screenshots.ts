/** Writes every page × light and dark × desktop and phone × Korean and English into `SCREENSHOTS`. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { pagePaths } from './places';
import { scene } from './scene';
import { BASE_URL, launch, login, Program, settled, still, visit } from './stack';

const folder = process.env['SCREENSHOTS'] ?? 'artifacts/screenshots';
const SIZES = { desktop: [1280, 860], phone: [390, 844] } as const;

function fileName(path: string): string {
  return path.replace(/task_[0-9a-f]+/, 'one').replace(/\d+/, 'one').replace(/[^a-z]+/gi, '-').replace(/^-|-$/g, '') || 'overview';
}

it('writes pictures', async () => {
  mkdirSync(folder, { recursive: true });
  const browser = await launch();
  const program = await new Program().login();
  await scene(program);
  const paths = await pagePaths(program);
  const faults: string[] = [];
  for (const language of ['ko', 'en'] as const) {
    for (const scheme of ['light', 'dark'] as const) {
      for (const [size, [width, height]] of Object.entries(SIZES)) {
        const one = await visit(browser, { language, scheme, width, height });
        const { page } = one;
        // The screen is made as high as the page: what stays in its place while one scrolls is seen whole.
        const shoot = async (name: string): Promise<void> => {
          const whole = await page.evaluate(() => document.documentElement.scrollHeight);
          await page.setViewportSize({ width, height: Math.max(height, whole) });
          await still(page);
          await page.screenshot({ path: join(folder, `${name}.${language}.${scheme}.${size}.png`) });
          await page.setViewportSize({ width, height });
        };
        await page.goto(BASE_URL);
        await page.locator('input[name=username]').waitFor();
        await shoot('login');
        await login(one);
        for (const path of paths) {
          await page.goto(BASE_URL + path);
          await settled(page);
          await shoot(fileName(path));
        }
        faults.push(...one.faults);
        await one.context.close();
      }
    }
  }
  await browser.close();
  expect(faults).toEqual([]);
});
