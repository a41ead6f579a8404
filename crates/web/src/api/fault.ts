/** Why the service did not answer as asked, in the one shape that pages show. */
import type { components } from './schema';

type Body = components['schemas']['ErrorBody'];
export type FieldProblem = components['schemas']['FieldProblem'];

export class Fault extends Error {
  readonly code: Body['code'] | 'OFFLINE' | 'UNREADABLE';
  readonly status: number;
  readonly details: Body['details'];

  constructor(code: Fault['code'], status: number, message: string, details: Body['details'] = {}) {
    super(message);
    this.name = 'Fault';
    this.code = code;
    this.status = status;
    this.details = details;
  }

  /** What is wrong with which field; empty when it is not about fields. */
  get fields(): FieldProblem[] {
    return this.details.fields ?? [];
  }

  /** Nobody answered, or somebody in between did. It may be different in a moment. */
  get passing(): boolean {
    return this.code === 'OFFLINE' || this.code === 'UNREADABLE' || [429, 502, 503, 504].includes(this.status);
  }
}

function isBody(value: unknown): value is { error: Body } {
  if (typeof value !== 'object' || value === null || !('error' in value)) return false;
  const { error } = value;
  return typeof error === 'object' && error !== null && 'code' in error && 'message' in error;
}

/** What an answer of 400 or more says. */
export function faultOf(status: number, body: unknown): Fault {
  if (isBody(body)) return new Fault(body.error.code, status, body.error.message, body.error.details);
  return new Fault('UNREADABLE', status, `HTTP ${status}`);
}

export function isFault(error: unknown): error is Fault {
  return error instanceof Fault;
}
