/** A drill step by step: when each was, how often it was begun, and what was seen. */
import { Group, Text, Timeline } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useFormat } from '../../i18n/format';
import { Status } from '../../ui/Status';
import { factsOf, isBeyond, type SeenStep } from './evidence';

export function DrillSteps({ steps }: { steps: readonly SeenStep[] }) {
  const { t } = useTranslation();
  const done = steps.findIndex((one) => one.state !== 'done');
  if (steps.length === 0) return <Text size="sm">{t('drill.noSteps')}</Text>;
  return (
    <Timeline active={(done < 0 ? steps.length : done) - 1} bulletSize={16} lineWidth={2}>
      {steps.map((one) => (
        <Timeline.Item
          key={one.step}
          title={
            <Group gap="xs">
              <span>{t(`drill.step_${one.step}`, { defaultValue: one.step })}</span>
              {isBeyond(one) ? null : <Status kind="step" value={one.state} />}
            </Group>
          }
        >
          <Step one={one} />
        </Timeline.Item>
      ))}
    </Timeline>
  );
}

function Step({ one }: { one: SeenStep }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { started_at_ms: begun, finished_at_ms: ended } = one;
  if (isBeyond(one)) {
    return (
      <Text size="xs" c="dimmed">
        {t('drill.notAsked')}
      </Text>
    );
  }
  const told = [
    ...(begun === null ? [] : [format.clock(new Date(begun))]),
    ...(begun === null || ended === null ? [] : [format.duration(ended - begun)]),
    ...(one.attempts > 1 ? [t('drill.attempts', { count: one.attempts })] : []),
  ];
  return (
    <>
      <Text size="xs" c="dimmed">
        {told.join(' · ') || '–'}
      </Text>
      {factsOf(one).map(([name, value]) => (
        <Text key={name} className="mono" style={{ overflowWrap: 'anywhere' }}>
          {name}: {value}
        </Text>
      ))}
    </>
  );
}
