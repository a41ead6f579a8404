/** What the service says about fields, put where it belongs. */
import type { FieldValues, Path, UseFormSetError } from 'react-hook-form';
import { isFault } from '../api/fault';

/** Puts each of the service's reasons at its field; gives back those that belong to no field of the form. */
export function placeFaults<T extends FieldValues>(
  error: unknown,
  setError: UseFormSetError<T>,
  fields: readonly Path<T>[],
  rename: (field: string) => string = (field) => field,
): string[] {
  if (!isFault(error)) return [];
  const rest: string[] = [];
  let focused = false;
  for (const problem of error.fields) {
    const name = rename(problem.field);
    const field = fields.find((one) => one === name);
    if (field) {
      setError(field, { type: 'server', message: problem.reason }, { shouldFocus: !focused });
      focused = true;
    } else {
      rest.push(`${problem.field}: ${problem.reason}`);
    }
  }
  return rest;
}

/** Whether a field's local time is yet to come. */
export function isFuture(text: string): boolean {
  return new Date(text).getTime() > Date.now();
}
