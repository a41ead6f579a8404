/** Asks by a path in words: for paths with slashes in a part. */
import { api, ask } from './client';

type Method = 'GET' | 'POST' | 'DELETE';

interface Sent {
  body?: object;
  once?: string;
  signal?: AbortSignal;
}

/** The caller says what the answer is. */
export function call<T>(method: Method, path: string, { body, once, signal }: Sent = {}): Promise<T> {
  const send = api.request as unknown as (
    method: string,
    path: string,
    init: object,
  ) => Promise<{ data?: T; error?: unknown; response: Response }>;
  return ask(
    send(method.toLowerCase(), path, {
      ...(body ? { body } : {}),
      ...(once ? { headers: { 'Idempotency-Key': once } } : {}),
      ...(signal ? { signal } : {}),
    }),
  );
}
