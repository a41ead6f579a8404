import { describe, expect, it } from 'vitest';
import type { PrunedBackup } from '../../api/schedules';
import { byDay, monthsOf, tally, weeksOf } from './calendar';

function backup(created_at: string, rule: PrunedBackup['rule'] = 'keep_daily'): PrunedBackup {
  const mark = rule === null ? 'remove' : 'keep';
  return { backup_id: created_at, server_id: 1, server_name: 'web-01', storage: 'local', created_at, mark, rule };
}

describe('byDay', () => {
  it('takes the days of the schedule’s time zone', () => {
    const backups = [backup('2024-01-14T17:00:00Z'), backup('2024-01-14T02:00:00Z')];
    expect([...byDay(backups, 'Asia/Seoul').keys()]).toEqual(['2024-01-15', '2024-01-14']);
    expect([...byDay(backups, 'UTC')].map(([day, those]) => [day, those.length])).toEqual([['2024-01-14', 2]]);
  });

  it('counts a day on which clocks change as one', () => {
    const backups = [backup('2024-03-31T00:30:00Z'), backup('2024-03-31T21:30:00Z'), backup('2024-03-31T22:30:00Z')];
    expect([...byDay(backups, 'Europe/Berlin')].map(([day, those]) => [day, those.length])).toEqual([
      ['2024-04-01', 1],
      ['2024-03-31', 2],
    ]);
  });

  it('takes those of UTC for a zone that the browser does not know', () => {
    expect([...byDay([backup('2024-01-14T23:59:59Z')], 'Nowhere/At-All').keys()]).toEqual(['2024-01-14']);
  });
});

describe('months and weeks', () => {
  it('are those in which there are backups, the oldest first', () => {
    expect(monthsOf(['2024-02-01', '2023-12-31', '2024-02-29'])).toEqual(['2023-12', '2024-02']);
  });

  it('begin on Monday, and have a month’s own days only', () => {
    const weeks = weeksOf('2024-02');
    expect(weeks.map((week) => week.length)).toEqual([7, 7, 7, 7, 7]);
    // The first of February 2024 was a Thursday.
    expect(weeks[0]).toEqual([null, null, null, '2024-02-01', '2024-02-02', '2024-02-03', '2024-02-04']);
    expect(weeks[4]).toEqual(['2024-02-26', '2024-02-27', '2024-02-28', '2024-02-29', null, null, null]);
    expect(weeksOf('2021-02')).toHaveLength(4);
    expect(weeksOf('2021-08')).toHaveLength(6);
  });
});

describe('tally', () => {
  it('counts by the rule that keeps them, those that go last', () => {
    const backups = [backup('a', null), backup('b'), backup('c', 'protected'), backup('d', null), backup('e', 'keep_last')];
    expect(tally(backups)).toEqual([
      { fate: 'protected', count: 1 },
      { fate: 'keep_last', count: 1 },
      { fate: 'keep_daily', count: 1 },
      { fate: 'remove', count: 2 },
    ]);
  });
});
