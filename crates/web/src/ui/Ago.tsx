/** A moment as its distance from now, with the moment itself in its title. */
import { useSyncExternalStore } from 'react';
import { useFormat } from '../i18n/format';

const STEP_MS = 10_000;
const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function listen(listener: () => void): () => void {
  listeners.add(listener);
  if (!timer) now = Date.now();
  timer ??= setInterval(() => {
    now = Date.now();
    for (const one of listeners) one();
  }, STEP_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** The present, to ten seconds. */
export function useNow(): number {
  return useSyncExternalStore(listen, () => now);
}

export function Ago({ at }: { at: string | null | undefined }) {
  const format = useFormat();
  const present = useNow();
  if (!at) return <>–</>;
  // The present is known to ten seconds: what has happened since is not to come.
  const then = new Date(at).getTime();
  const just = then > present && then - present < 1.5 * STEP_MS;
  return (
    <time dateTime={at} title={format.moment(at)}>
      {format.ago(at, just ? then : present)}
    </time>
  );
}
