/** Drills as rows. */
import { Anchor, Button, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import type { Drill } from '../../api/drills';
import { useFormat } from '../../i18n/format';
import { Sheet } from '../../ui/Sheet';
import { Status } from '../../ui/Status';
import { DrillBy, tookOf } from './DrillCells';

export function DrillRows({ drills, onLook }: { drills: readonly Drill[]; onLook: (drill: string) => void }) {
  const { t } = useTranslation();
  const format = useFormat();
  return (
    <Sheet
      label={t('drill.title')}
      empty={t('drill.none')}
      minWidth={940}
      heads={[
        t('nav.server'), t('column.status'), t('drill.goal'), t('drill.begun'), t('drill.took'), t('drill.by'), t('drill.why'),
        t('list.actions'),
      ]}
      rows={drills.map((drill) => ({
        key: drill.id,
        cells: [
          <div key="s">
            <Anchor component={Link} to={`/servers/${drill.server_id}`} size="sm">
              {drill.server_name}
            </Anchor>
            <Text className="mono" c="dimmed">
              {drill.backup_id}
            </Text>
          </div>,
          <Status key="o" kind="drill" value={drill.status} />,
          <div key="g">
            {t(`drill.goal_${drill.goal}`, { defaultValue: drill.goal })}
            {drill.command.length > 0 ? (
              <Text size="xs" c="dimmed">
                {t('drill.withCommand')}
              </Text>
            ) : null}
          </div>,
          format.moment(drill.created_at),
          tookOf(drill, format),
          <DrillBy key="b" drill={drill} />,
          drill.error ? (
            <Text key="e" size="xs">
              {drill.error}
            </Text>
          ) : (
            '–'
          ),
          <Button key="a" size="compact-xs" variant="default" onClick={() => onLook(drill.drill_id)}>
            {t('drill.look')}
          </Button>,
        ],
      }))}
    />
  );
}
