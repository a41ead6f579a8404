/** How far a server got, rung by rung, and how long each took. */
import { Text, Timeline } from '@mantine/core';
import { IconCheck, IconCircleDashed } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../../api/client';
import { useFormat } from '../../i18n/format';

export function Readiness({ rungs }: { rungs: readonly Schemas['RungView'][] }) {
  const { t } = useTranslation();
  const format = useFormat();
  if (rungs.length === 0) return <Text size="sm">{t('server.noLadder')}</Text>;
  const reached = rungs.filter((one) => one.reached).length;
  return (
    <Timeline active={reached - 1} bulletSize={20} lineWidth={2}>
      {rungs.map((one) => (
        <Timeline.Item
          key={one.rung}
          title={t(`rung.${one.rung}`)}
          bullet={one.reached ? <IconCheck size={12} aria-hidden /> : <IconCircleDashed size={12} aria-hidden />}
        >
          <Text size="xs" c="dimmed">
            {one.reached
              ? `${format.moment(one.at)} · +${format.duration(one.took_ms)}`
              : t('server.rungWaiting')}
          </Text>
        </Timeline.Item>
      ))}
    </Timeline>
  );
}
