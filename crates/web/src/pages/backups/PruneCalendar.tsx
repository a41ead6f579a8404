/** A month of backups: on each day how many stay, by which rule, and how many go; below, each of them in words. */
import { ActionIcon, Group, Text, Title } from '@mantine/core';
import { IconChevronLeft, IconChevronRight } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { PrunedBackup } from '../../api/schedules';
import { useFormat } from '../../i18n/format';
import { Pill } from '../../ui/Status';
import { byDay, fateOf, monthsOf, tally, weeksOf } from './calendar';
import './calendar.css';

/** A week that begins on Monday, for the names of its days. */
const WEEK = ['2024-01-01', '2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-06', '2024-01-07'];

export function PruneCalendar({ backups, timeZone }: { backups: readonly PrunedBackup[]; timeZone: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const [chosen, setChosen] = useState<string | null>(null);
  const days = byDay(backups, timeZone);
  const months = monthsOf(days.keys());
  const at = chosen !== null && months.includes(chosen) ? months.indexOf(chosen) : months.length - 1;
  const month = months[at];
  if (month === undefined) return null;
  const turn = (to: number, label: string, icon: React.ReactNode) => (
    <ActionIcon
      variant="default"
      aria-label={label}
      aria-disabled={months[to] === undefined}
      data-disabled={months[to] === undefined || undefined}
      onClick={() => months[to] !== undefined && setChosen(months[to])}
    >
      {icon}
    </ActionIcon>
  );
  return (
    <>
      <Group gap="sm">
        {turn(at - 1, t('schedule.earlier'), <IconChevronLeft size={16} aria-hidden />)}
        <Title order={3} aria-live="polite">
          {format.month(month)}
        </Title>
        {turn(at + 1, t('schedule.later'), <IconChevronRight size={16} aria-hidden />)}
        <Text size="xs" c="dimmed">
          {timeZone}
        </Text>
        <Group gap="xs" wrap="nowrap">
          <span className="fate">{t('schedule.remains')}</span>
          <span className="fate" data-goes>
            {t('schedule.goes')}
          </span>
        </Group>
      </Group>
      <table className="prune" aria-label={t('schedule.calendarOf', { month: format.month(month) })}>
        <thead>
          <tr>
            {WEEK.map((day) => (
              <th key={day} scope="col">
                {format.weekday(day)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {weeksOf(month).map((week, n) => (
            <tr key={n}>
              {week.map((day, weekday) => (
                <td key={day ?? weekday}>{day === null ? null : <Day day={day} backups={days.get(day) ?? []} />}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <ul className="plain" aria-label={t('schedule.listOf', { month: format.month(month) })}>
        {[...days].filter(([day]) => day.startsWith(month)).map(([day, those]) => (
          <li key={day} className="prune-day">
            <Title order={4} size="sm">
              {format.date(day)}
            </Title>
            <ul className="plain">
              {those.map((backup) => (
                <Fate key={backup.backup_id} backup={backup} timeZone={timeZone} />
              ))}
            </ul>
          </li>
        ))}
      </ul>
    </>
  );
}

function Day({ day, backups }: { day: string; backups: readonly PrunedBackup[] }) {
  const { t } = useTranslation();
  return (
    <>
      <span className="num">{Number(day.slice(8))}</span>
      {tally(backups).map(({ fate, count }) => (
        <span key={fate} className="fate" data-goes={fate === 'remove'}>
          <span className="word">{t(`schedule.rule_${fate}`)}</span> {count}
        </span>
      ))}
    </>
  );
}

function Fate({ backup, timeZone }: { backup: PrunedBackup; timeZone: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const fate = fateOf(backup);
  const goes = fate === 'remove';
  return (
    <li data-backup={backup.backup_id}>
      <Pill tone={goes ? 'bad' : 'good'}>{t(goes ? 'schedule.goes' : 'schedule.remains')}</Pill>
      <span>{backup.server_name}</span>
      <time dateTime={backup.created_at}>{format.momentIn(backup.created_at, timeZone) || format.moment(backup.created_at)}</time>
      <span>{backup.storage}</span>
      {goes ? null : <span>{t('schedule.by', { rule: t(`schedule.rule_${fate}`) })}</span>}
    </li>
  );
}
