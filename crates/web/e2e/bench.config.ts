/** What the page takes, measured. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Vitest has a BASE_URL of its own.
  test: {
    env: { PAGE_URL: process.env['BASE_URL'] ?? 'http://127.0.0.1:5000' },
    environment: 'node',
    include: ['e2e/bench.ts'],
    testTimeout: 900_000,
    hookTimeout: 120_000,
  },
});
