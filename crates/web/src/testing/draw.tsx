/** Draws a part of the page as it stands in the whole. */
import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { render, screen } from '@testing-library/react';
import type { ReactNode } from 'react';
import { createMemoryRouter, RouterProvider } from 'react-router';
import type { Schemas } from '../api/client';
import { type Permission, SessionContext } from '../session/context';

export const ME: Schemas['Me'] = {
  id: 1,
  username: 'admin',
  role: 'admin',
  roles: [{ role: 'admin', project: null }],
  disabled: false,
  language: 'ko',
  second_factor: false,
  password_ends_at: null,
  created_at: '2026-01-01T00:00:00Z',
  updated_at: '2026-01-01T00:00:00Z',
  permissions: ['servers:read', 'servers:write', 'tasks:read', 'networks:read', 'projects:read', 'users:read', 'users:write', 'system:write'],
  known_by: 'session',
};

export function draw(part: ReactNode, path = '/', route = '*') {
  const cache = new QueryClient({ defaultOptions: { queries: { retry: false }, mutations: { retry: false } } });
  const session = { me: ME, can: (permission: Permission) => ME.permissions.some((one) => one === permission) };
  const routes = [
    { path: route, element: part },
    ...(route === '*' ? [] : [{ path: '*', element: <p>elsewhere</p> }]),
  ];
  const router = createMemoryRouter(routes, { initialEntries: [path] });
  const drawn = render(
    <MantineProvider env="test">
      <QueryClientProvider client={cache}>
        <SessionContext value={session}>
          <RouterProvider router={router} />
        </SessionContext>
      </QueryClientProvider>
    </MantineProvider>,
  );
  return { ...drawn, router, cache };
}

/** What is said to be wrong with a field. */
export function faultOfField(field: HTMLElement): string {
  const ids = field.getAttribute('aria-describedby')?.split(' ') ?? [];
  return ids.map((id) => document.getElementById(id)?.textContent ?? '').join(' ');
}

/** The input with that label, where its list has it too. */
export function input(label: string | RegExp): HTMLElement {
  const found = screen.getAllByLabelText(label).find((one) => one.tagName === 'INPUT');
  if (!found) throw new Error(`no input ${String(label)}`);
  return found;
}
