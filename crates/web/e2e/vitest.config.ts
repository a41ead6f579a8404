/** Tests in a browser against a live stack: one after the other, because they share it. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Vitest has a BASE_URL of its own.
  test: {
    env: { PAGE_URL: process.env['BASE_URL'] ?? 'http://127.0.0.1:5000' },
    environment: 'node',
    include: ['e2e/**/*.e2e.ts'],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
});
