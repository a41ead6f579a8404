/** Backups as a calendar: on which day they were begun where their schedule counts days, and what becomes of them. */
import type { PrunedBackup } from '../../api/schedules';

/** In the order of the rules; `remove` is what no rule keeps. */
const FATES = [
  'protected', 'keep_last', 'keep_hourly', 'keep_daily', 'keep_weekly', 'keep_monthly', 'keep_yearly', 'newest_good',
  'keep_all', 'remove',
] as const;
export type Fate = (typeof FATES)[number];

export function fateOf(backup: PrunedBackup): Fate {
  return backup.mark === 'remove' ? 'remove' : (backup.rule ?? 'keep_all');
}

function parts(timeZone: string): Intl.DateTimeFormat {
  const shape = { year: 'numeric', month: '2-digit', day: '2-digit' } as const;
  try {
    return new Intl.DateTimeFormat('en', { ...shape, timeZone });
  } catch {
    return new Intl.DateTimeFormat('en', { ...shape, timeZone: 'UTC' });
  }
}

/** By day (`2026-01-31`) in that time zone, the newest day first; those of a day stay in the order given. */
export function byDay(backups: readonly PrunedBackup[], timeZone: string): Map<string, PrunedBackup[]> {
  const format = parts(timeZone);
  const days = new Map<string, PrunedBackup[]>();
  for (const backup of backups) {
    const found = format.formatToParts(new Date(backup.created_at));
    const part = (type: string): string => found.find((one) => one.type === type)?.value ?? '';
    const day = `${part('year')}-${part('month')}-${part('day')}`;
    const before = days.get(day);
    if (before) before.push(backup);
    else days.set(day, [backup]);
  }
  return new Map([...days].sort(([one], [other]) => other.localeCompare(one)));
}

/** The months (`2026-01`) of such days, the oldest first. */
export function monthsOf(days: Iterable<string>): string[] {
  return [...new Set([...days].map((day) => day.slice(0, 7)))].sort();
}

/** A month's weeks, which begin on Monday as those of the rules do; `null` where a day is another month's. */
export function weeksOf(month: string): (string | null)[][] {
  const [year = 0, number = 1] = month.split('-').map(Number);
  const length = new Date(Date.UTC(year, number, 0)).getUTCDate();
  const before = (new Date(Date.UTC(year, number - 1, 1)).getUTCDay() + 6) % 7;
  const weeks = Math.ceil((before + length) / 7);
  return Array.from({ length: weeks }, (_, week) =>
    Array.from({ length: 7 }, (_, weekday) => {
      const day = week * 7 + weekday - before + 1;
      return day >= 1 && day <= length ? `${month}-${String(day).padStart(2, '0')}` : null;
    }),
  );
}

/** How many have which fate. */
export function tally(backups: readonly PrunedBackup[]): { fate: Fate; count: number }[] {
  const counts = new Map<Fate, number>();
  for (const backup of backups) counts.set(fateOf(backup), (counts.get(fateOf(backup)) ?? 0) + 1);
  return FATES.flatMap((fate) => {
    const count = counts.get(fate) ?? 0;
    return count > 0 ? [{ fate, count }] : [];
  });
}
