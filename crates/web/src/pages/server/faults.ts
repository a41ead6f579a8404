/** The service's reasons about fields, where the form shows them together. */
import { isFault } from '../../api/fault';

export function placeless(error: unknown): string[] {
  return isFault(error) ? error.fields.map((problem) => `${problem.field}: ${problem.reason}`) : [];
}
