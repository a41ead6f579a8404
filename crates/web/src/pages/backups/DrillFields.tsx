/** How far a drill's guest has to come, and the command that has to succeed in it. */
import { Select, Textarea } from '@mantine/core';
import type { RefCallBack } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import { WISHES, type Wish } from './drill';

interface Props<T> {
  field: { value: T; onChange: (value: T) => void; onBlur: () => void; name: string; ref: RefCallBack };
  error: string | undefined;
}

export function GoalField({ field, error }: Props<Wish['goal']>) {
  const { t } = useTranslation();
  return (
    <Select
      label={t('drill.goal')}
      description={t(`drill.goalHint_${field.value || 'usual'}`)}
      allowDeselect={false}
      data={WISHES.map((value) => ({ value, label: t(`drill.goal_${value || 'usual'}`) }))}
      error={error}
      {...field}
      onChange={(value) => field.onChange(WISHES.find((one) => one === value) ?? '')}
    />
  );
}

export function CommandField({ field, error }: Props<string>) {
  const { t } = useTranslation();
  return (
    <Textarea
      label={t('drill.command')}
      description={t('drill.commandHint')}
      placeholder={'/usr/bin/systemctl\nis-active\nnginx'}
      classNames={{ input: 'mono' }}
      autosize
      minRows={3}
      maxRows={10}
      spellCheck={false}
      error={error}
      {...field}
      onChange={(event) => field.onChange(event.currentTarget.value)}
    />
  );
}
