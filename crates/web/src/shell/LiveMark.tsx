/** Whether what is shown is what the service knows now. */
import { Text, Tooltip } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useFormat } from '../i18n/format';
import { useLive } from '../live/LiveProvider';
import { Pill } from '../ui/Status';

const TONES = { connecting: 'busy', live: 'good', lost: 'bad', paused: 'idle', ended: 'idle' } as const;

export function LiveMark() {
  const { t } = useTranslation();
  const format = useFormat();
  const { state, heard } = useLive();
  const since = heard ? t('live.heard', { at: format.clock(heard) }) : t('live.never');
  return (
    <Tooltip label={`${t(`live.${state}Text`)} ${since}`} multiline maw={280}>
      <Text size="xs" component="span" role="status" data-live={state}>
        <Pill tone={TONES[state]}>{t(`live.${state}`)}</Pill>
      </Text>
    </Tooltip>
  );
}
