/** A service that answers as a test says, and remembers what it was asked. */
import { vi } from 'vitest';

export interface Asked {
  method: string;
  path: string;
  body: unknown;
}

type Answer = { status?: number; body: unknown };
type Answers = Record<string, Answer | ((asked: Asked) => Answer)>;

/** Keys are `POST /api/path`; what nobody foresaw is answered with 404. */
export function service(answers: Answers): Asked[] {
  const asked: Asked[] = [];
  vi.stubGlobal('fetch', async (input: Request | string) => {
    const request = typeof input === 'string' ? new Request(new URL(input, window.location.origin)) : input;
    const { pathname } = new URL(request.url);
    const text = request.method === 'GET' ? '' : await request.clone().text();
    const one: Asked = { method: request.method, path: pathname, body: text ? (JSON.parse(text) as unknown) : undefined };
    asked.push(one);
    const found = answers[`${request.method} ${pathname}`];
    const answer = typeof found === 'function' ? found(one) : found;
    const { status = 200, body } = answer ?? { status: 404, body: refusal('NOT_FOUND', 'nothing here') };
    return new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });
  });
  return asked;
}

export function refusal(code: string, message: string, details: object = {}) {
  return { error: { code, message, details } };
}

/** A refusal that names fields. */
export function wrongFields(fields: Record<string, string>): Answer {
  const list = Object.entries(fields).map(([field, reason]) => ({ field, code: 'NOT_ALLOWED', reason }));
  return { status: 400, body: refusal('INVALID_REQUEST', 'wrong', { ...list[0], fields: list }) };
}
