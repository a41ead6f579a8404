/** Moments, durations, sizes and numbers as the reader's language writes them. */
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

export function makeFormat(language: string) {
  const locale = language === 'en' ? 'en-GB' : 'ko-KR';
  const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' });
  const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' });
  const day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium' });
  // Dates without a moment are those of no time zone.
  const date = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeZone: 'UTC' });
  const month = new Intl.DateTimeFormat(locale, { year: 'numeric', month: 'long', timeZone: 'UTC' });
  const weekday = new Intl.DateTimeFormat(locale, { weekday: 'short', timeZone: 'UTC' });
  const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
  const tenth = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
  const ago = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  const bytes = (value: number): string => {
    let at = 0;
    let rest = value;
    while (Math.abs(rest) >= 1024 && at < UNITS.length - 1) {
      rest /= 1024;
      at += 1;
    }
    return `${tenth.format(rest)} ${UNITS[at] ?? ''}`;
  };
  return {
    moment: (text: string | null | undefined) => (text ? moment.format(new Date(text)) : '–'),
    clock: (at: string | Date) => clock.format(typeof at === 'string' ? new Date(at) : at),
    day: (text: string) => day.format(new Date(text)),
    /** A moment as clocks of that time zone show it; empty when the browser does not know the zone. */
    momentIn: (text: string, timeZone: string): string => {
      try {
        return new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', timeZone }).format(new Date(text));
      } catch {
        return '';
      }
    },
    date: (yearMonthDay: string) => date.format(new Date(yearMonthDay)),
    month: (yearMonth: string) => month.format(new Date(`${yearMonth}-01`)),
    weekday: (yearMonthDay: string) => weekday.format(new Date(yearMonthDay)),
    number: (value: number) => whole.format(value),
    percent: (value: number) => `${tenth.format(value)} %`,
    bytes,
    /** The API's memory is in MiB, its disks are in GiB. */
    memory: (mib: number) => bytes(mib * 1024 ** 2),
    disk: (gib: number) => bytes(gib * 1024 ** 3),
    rate: (perSecond: number) => `${bytes(perSecond)}/s`,
    ago: (text: string, now: number) => {
      const seconds = Math.round((new Date(text).getTime() - now) / 1000);
      const size = Math.abs(seconds);
      if (size < 60) return ago.format(seconds, 'second');
      if (size < 3600) return ago.format(Math.round(seconds / 60), 'minute');
      if (size < 86_400) return ago.format(Math.round(seconds / 3600), 'hour');
      return ago.format(Math.round(seconds / 86_400), 'day');
    },
    duration: (ms: number) => {
      if (ms < 1000) return `${whole.format(ms)} ms`;
      const seconds = ms / 1000;
      if (seconds < 60) return `${tenth.format(seconds)} s`;
      const minutes = Math.floor(seconds / 60);
      if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
      const hours = Math.floor(minutes / 60);
      return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
    },
  };
}

export type Format = ReturnType<typeof makeFormat>;

export function useFormat(): Format {
  const { i18n } = useTranslation();
  return useMemo(() => makeFormat(i18n.language), [i18n.language]);
}
