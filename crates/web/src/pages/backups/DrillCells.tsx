/** What is told of a drill in its row and by itself. */
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import type { Drill } from '../../api/drills';
import { keys } from '../../api/keys';
import { listSchedules } from '../../api/schedules';
import type { Format } from '../../i18n/format';

/** From when it was asked for until it was known how it came out. */
export function tookOf({ created_at, decided_at }: Drill, format: Format): string {
  return decided_at ? format.duration(new Date(decided_at).getTime() - new Date(created_at).getTime()) : '–';
}

export function DrillBy({ drill }: { drill: Drill }) {
  const { t } = useTranslation();
  const id = drill.schedule_id;
  const { data } = useQuery({
    queryKey: keys.schedules,
    queryFn: ({ signal }) => listSchedules(signal),
    enabled: id !== null,
  });
  if (id === null) return <>{t('drill.asked')}</>;
  // One that is gone goes by its number.
  const name = data?.schedules.find((one) => one.id === id)?.name ?? `#${id}`;
  return <>{t('drill.ofSchedule', { name })}</>;
}
