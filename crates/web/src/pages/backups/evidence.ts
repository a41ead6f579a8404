/** What was seen of a drill's guest, as far as the page knows how to read it. */
import * as z from 'zod';

const step = z.object({
  step: z.string(),
  state: z.string(),
  attempts: z.number().catch(0),
  started_at_ms: z.number().nullable().catch(null),
  finished_at_ms: z.number().nullable().catch(null),
  seen: z.record(z.string(), z.unknown()).nullable().catch(null),
});
const evidence = z.object({
  steps: z.array(step).catch([]),
  vmid: z.number().nullable().catch(null),
  node: z.string().nullable().catch(null),
  ip_address: z.string().nullable().catch(null),
});

export type Evidence = z.infer<typeof evidence>;
export type SeenStep = z.infer<typeof step>;

/** Whatever of it cannot be read is left out; its text is shown as it is anyway. */
export function evidenceOf(said: unknown): Evidence | null {
  const read = evidence.safeParse(said);
  return read.success ? read.data : null;
}

/** Whether what the step waits for was not asked for. */
export function isBeyond({ seen }: SeenStep): boolean {
  return seen?.['looked_at'] === false;
}

/** What Proxmox VE wrote while it worked on the step. */
export function logOf({ seen }: SeenStep): string[] {
  const log = seen?.['log'];
  return Array.isArray(log) ? log.filter((line) => typeof line === 'string') : [];
}

/** Names and values of everything else. */
export function factsOf(one: SeenStep): [string, string][] {
  if (isBeyond(one)) return [];
  const facts = Object.entries(one.seen ?? {}).filter(([name]) => name !== 'log');
  return facts.map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]);
}
