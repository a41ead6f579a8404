/** A state as a word with a shape and a colour; the word alone is enough. */
import { useTranslation } from 'react-i18next';

export type Tone = 'good' | 'warn' | 'bad' | 'busy' | 'idle';

const TONES: Record<string, Tone> = {
  running: 'good', completed: 'good', done: 'good', online: 'good', healthy: 'good', success: 'good', resolved: 'good',
  delivered: 'good', up: 'good', valid: 'good', active: 'good', passed: 'good',
  stopped: 'idle', cancelled: 'idle', skipped: 'idle', not_configured: 'idle', offline: 'bad', undone: 'idle', expired: 'idle',
  creating: 'busy', restarting: 'busy', deleting: 'busy', pending: 'busy', info: 'busy', in_progress: 'busy',
  error: 'bad', failed: 'bad', missing: 'bad', identity_conflict: 'bad', down: 'bad', firing: 'bad', degraded: 'bad',
  refused: 'bad', dead: 'bad',
  unknown: 'warn', partial: 'warn', warning: 'warn', drifted: 'warn', outdated: 'warn',
};

export function Pill({ tone, children }: { tone: Tone; children: string }) {
  return (
    <span className="pill" data-tone={tone}>
      {children}
    </span>
  );
}

type Kind = 'server' | 'task' | 'step' | 'backup' | 'drill' | 'delivery' | 'word';

export function Status({ kind, value }: { kind: Kind; value: string }) {
  const { t } = useTranslation();
  const busy = (kind === 'task' || kind === 'drill') && value === 'running';
  const tone = busy ? 'busy' : (TONES[value] ?? 'idle');
  return <Pill tone={tone}>{t(`status.${kind}.${value}`, { defaultValue: value })}</Pill>;
}
