/** The one way to the service: its public API, typed by its own document. */
import createClient from 'openapi-fetch';
import { currentLanguage } from '../i18n';
import { Fault, faultOf } from './fault';
import type { components, paths } from './schema';

export type Schemas = components['schemas'];

export const api = createClient<paths>({
  baseUrl: window.location.origin,
  credentials: 'same-origin',
  fetch: (request) => globalThis.fetch(request),
  headers: { Accept: 'application/json' },
});

api.use({
  onRequest({ request }) {
    request.headers.set('Accept-Language', currentLanguage());
    return request;
  },
});

/** Nobody is logged in any more, or the login is too long ago for what was asked. */
export type Ending = 'ended' | 'old';
type Listener = (why: Ending) => void;
const ended = new Set<Listener>();

/** Calls back when the service says that somebody has to log in again. */
export function onSessionEnd(listener: Listener): () => void {
  ended.add(listener);
  return () => ended.delete(listener);
}

export function tellSessionEnd(why: Ending = 'ended'): void {
  for (const listener of ended) listener(why);
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** What was asked for, or a `Fault`. */
export async function ask<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    // A body that is no JSON comes from something in between, a missing answer from nobody.
    throw error instanceof SyntaxError ? new Fault('UNREADABLE', 0, error.message) : new Fault('OFFLINE', 0, '');
  }
  if (answer.response.ok) return answer.data as T;
  const fault = faultOf(answer.response.status, answer.error);
  if (fault.code === 'UNAUTHENTICATED') tellSessionEnd();
  if (fault.code === 'LOGIN_AGAIN') tellSessionEnd('old');
  throw fault;
}

/** A key by which the service knows a request that is sent again. */
export function onceKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
