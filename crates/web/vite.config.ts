/** How the page is built, and served while it is being worked on. */
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

/** The policy that the service serves the page under; the preview must not be more lenient. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

const api = process.env['API_URL'] ?? 'http://127.0.0.1:5000';
const port = Number(process.env['WEB_PORT'] ?? 5173);
const proxy = { '/api': { target: api, changeOrigin: false } };

export default defineConfig({
  plugins: [react()],
  build: { target: 'es2022', sourcemap: false, chunkSizeWarningLimit: 600, assetsInlineLimit: 0, manifest: true },
  server: { host: '127.0.0.1', port, strictPort: true, proxy },
  preview: { host: '127.0.0.1', port, strictPort: true, proxy, headers: { 'Content-Security-Policy': POLICY } },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}'],
    setupFiles: ['src/testing/setup.ts'],
    css: false,
    testTimeout: 20_000,
  },
});
