/** Tasks as rows. */
import { Anchor, Progress } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import type { Schemas } from '../../api/client';
import { Ago } from '../../ui/Ago';
import { Sheet } from '../../ui/Sheet';
import { Status } from '../../ui/Status';

export function TaskRows({ tasks, empty, brief = false }: { tasks: readonly Schemas['TaskInList'][]; empty: string; brief?: boolean }) {
  const { t } = useTranslation();
  const wide = [t('task.kind'), t('task.about'), t('column.status'), t('task.progress'), t('task.message'), t('task.begun')];
  return (
    <Sheet
      label={t('nav.tasks')}
      empty={empty}
      heads={brief ? [t('task.kind'), t('column.status'), t('task.message'), t('task.begun')] : wide}
      minWidth={brief ? 420 : 720}
      rows={tasks.map((task) => {
        const kind = (
          <Anchor component={Link} to={`/tasks/${task.task_id}`} size="sm" key="k" style={{ whiteSpace: 'nowrap' }}>
            {t(`task.${task.kind}`, { defaultValue: task.kind })}
          </Anchor>
        );
        const status = <Status key="s" kind="task" value={task.status} />;
        const message = task.error?.message ?? task.message;
        const at = <Ago key="a" at={task.created_at} />;
        if (brief) return { key: task.task_id, cells: [kind, status, message, at] };
        const about = task.server_id ? (
          <Anchor key="w" component={Link} to={`/servers/${task.server_id}`} size="sm">
            {task.server_name ?? task.server_id}
          </Anchor>
        ) : (
          (task.server_name ?? '–')
        );
        const progress = <Progress key="p" value={task.progress} w={90} aria-label={`${task.progress} %`} />;
        return { key: task.task_id, cells: [kind, about, status, progress, message, at] };
      })}
    />
  );
}
