import { describe, expect, it } from 'vitest';
import { makeFormat } from './format';

describe('format', () => {
  const ko = makeFormat('ko');
  const en = makeFormat('en');

  it('writes sizes in the units of memory', () => {
    expect(ko.memory(4096)).toBe('4 GiB');
    expect(en.disk(1536)).toBe('1.5 TiB');
    expect(en.rate(0)).toBe('0 B/s');
  });

  it('writes durations', () => {
    expect(en.duration(4)).toBe('4 ms');
    expect(en.duration(1250)).toBe('1.3 s');
    expect(en.duration(3 * 3600_000 + 60_000)).toBe('3 h 1 min');
  });

  it('writes how long ago in the language', () => {
    const now = Date.parse('2026-01-01T00:10:00Z');
    expect(ko.ago('2026-01-01T00:00:00Z', now)).toBe('10분 전');
    expect(en.ago('2026-01-01T00:00:00Z', now)).toBe('10 minutes ago');
  });

  it('writes nothing for what is not known', () => {
    expect(ko.moment(null)).toBe('–');
  });
});
