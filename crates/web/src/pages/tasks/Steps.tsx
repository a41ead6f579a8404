/** The steps of a task. */
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../../api/client';
import { useFormat } from '../../i18n/format';
import { Sheet } from '../../ui/Sheet';
import { Status } from '../../ui/Status';

export function Steps({ steps }: { steps: readonly Schemas['StepView'][] }) {
  const { t } = useTranslation();
  const format = useFormat();
  const took = (step: Schemas['StepView']): string =>
    step.started_at && step.finished_at
      ? format.duration(new Date(step.finished_at).getTime() - new Date(step.started_at).getTime())
      : '–';
  return (
    <Sheet
      label={t('task.steps')}
      empty={t('task.none')}
      minWidth={620}
      heads={[t('task.step'), t('column.status'), t('task.attempts'), t('task.took'), t('task.begun'), 'UPID']}
      rows={steps.map((step, n) => ({
        key: `${n}-${step.step}`,
        cells: [
          `${step.undo ? `${t('task.undo')} · ` : ''}${step.title}`,
          <Status key="s" kind="step" value={step.status === 'pending' && step.started_at ? 'active' : step.status} />,
          step.attempts,
          took(step),
          step.started_at ? format.clock(step.started_at) : '–',
          <span key="u" className="mono" style={{ overflowWrap: 'anywhere' }}>{step.upid ?? '–'}</span>,
        ],
      }))}
    />
  );
}
