/** What may be allowed. */
import type { Schemas } from '../../api/client';

/** Scopes as a form holds them: texts. */
export function scopes(texts: readonly string[]): Schemas['Scope'][] {
  return texts as Schemas['Scope'][];
}
