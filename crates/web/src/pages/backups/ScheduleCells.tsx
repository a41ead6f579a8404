/** What a row tells of a schedule. */
import { Anchor, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import type { Schemas } from '../../api/client';
import { KEEPS, type Schedule } from '../../api/schedules';
import { useFormat } from '../../i18n/format';
import { Ago } from '../../ui/Ago';
import { Pill, type Tone } from '../../ui/Status';
import { useServerNames } from './serverNames';

/** So many names, and next times, are told; of others how many there are. */
const TOLD = 3;

export function Name({ schedule }: { schedule: Schedule }) {
  const { t } = useTranslation();
  return (
    <>
      <Text size="sm">{schedule.name}</Text>
      <Pill tone={schedule.enabled ? 'good' : 'idle'}>{t(schedule.enabled ? 'schedule.on' : 'schedule.off')}</Pill>
    </>
  );
}

/** What it does: backups, or drills and how far they go. */
export function Does({ drill }: { drill: Schedule['drill'] }) {
  const { t } = useTranslation();
  if (!drill) return <>{t('schedule.makesBackups')}</>;
  return (
    <>
      {t('schedule.triesBackups')}
      <Text size="xs" c="dimmed">
        {t(`drill.goal_${drill.goal ?? 'usual'}`)}
        {drill.command.length > 0 ? ` · ${t('drill.withCommand')}` : ''}
      </Text>
    </>
  );
}

export function When({ schedule }: { schedule: Schedule }) {
  return (
    <>
      <span className="mono" style={{ whiteSpace: 'nowrap' }}>
        {schedule.calendar}
      </span>
      <Text size="xs" c="dimmed">
        {schedule.time_zone}
      </Text>
    </>
  );
}

export function NextRuns({ schedule }: { schedule: Schedule }) {
  const { t } = useTranslation();
  const format = useFormat();
  const [first, ...later] = schedule.next_runs;
  if (!first) return <>{t(schedule.enabled ? 'schedule.never' : 'schedule.notFollowed')}</>;
  return (
    <>
      <Ago at={first} />
      {[first, ...later].slice(0, TOLD).map((at) => (
        <Text key={at} size="xs" c="dimmed" style={{ whiteSpace: 'nowrap' }}>
          {format.momentIn(at, schedule.time_zone) || format.moment(at)}
        </Text>
      ))}
    </>
  );
}

const COUNTED = ['waiting', 'started', 'completed', 'failed', 'missed', 'skipped'] as const;

function toneOf({ status, servers }: Schemas['ScheduleRun']): Tone {
  if (status === 'running') return 'busy';
  if (status === 'missed') return 'bad';
  return servers.failed + servers.missed > 0 ? 'warn' : 'good';
}

export function LastRun({ run }: { run: Schemas['ScheduleRun'] | null }) {
  const { t } = useTranslation();
  if (!run) return <>{t('schedule.notYet')}</>;
  const counts = COUNTED.filter((one) => run.servers[one] > 0);
  const more = [
    ...(run.asked_for ? [t('schedule.askedFor')] : []),
    ...(run.passed_over > 0 ? [t('schedule.passedOver', { count: run.passed_over })] : []),
  ];
  return (
    <>
      <Pill tone={toneOf(run)}>{t(`schedule.run_${run.status}`, { defaultValue: run.status })}</Pill>
      <Text size="xs" component="div">
        <Ago at={run.started_at} />
        {more.length > 0 ? ` · ${more.join(' · ')}` : ''}
      </Text>
      <Text size="xs">
        {counts.map((one) => t(`schedule.servers_${one}`, { number: run.servers[one] })).join(', ')}
      </Text>
    </>
  );
}

export function Target({ target }: { target: Schedule['target'] }) {
  const { t } = useTranslation();
  const ids = target.server_ids ?? [];
  const told = ids.length > TOLD ? [] : ids;
  const names = useServerNames(told);
  if (target.role !== undefined) return <>{t('schedule.ofRole', { role: target.role })}</>;
  if (target.tag !== undefined) return <>{t('schedule.ofTag', { tag: target.tag })}</>;
  if (!target.server_ids) return <>{t('schedule.way_all')}</>;
  if (told.length === 0) return <>{t('schedule.ofServers', { count: ids.length })}</>;
  return (
    <>
      {told.map((id) => (
        <div key={id}>
          <Anchor component={Link} to={`/servers/${id}`} size="sm">
            {names.get(id) ?? `#${id}`}
          </Anchor>
        </div>
      ))}
    </>
  );
}

/** Retention goes on for what a schedule of drills made before. */
export function prunes({ retention }: Schedule): boolean {
  return KEEPS.some((keep) => retention[keep] > 0);
}

export function Kept({ schedule }: { schedule: Schedule }) {
  const { t } = useTranslation();
  const kept = schedule.retention;
  const said = KEEPS.filter((keep) => kept[keep] > 0);
  if (said.length === 0) return <>{schedule.drill ? '–' : t('schedule.keepsAll')}</>;
  return <>{said.map((keep) => `${t(`schedule.rule_${keep}`)} ${kept[keep]}`).join(', ')}</>;
}
