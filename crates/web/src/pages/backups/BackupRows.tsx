/** Backups as rows, with what can be done with each. */
import { Anchor, Button, Group, Text, Tooltip } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import type { Backup } from '../../api/backups';
import { useFormat } from '../../i18n/format';
import { useCan } from '../../session/context';
import { Sheet } from '../../ui/Sheet';
import { Status } from '../../ui/Status';
import { DeleteBackup } from './DeleteBackup';
import { DrillForm } from './DrillForm';
import { RestoreForm } from './RestoreForm';

export function BackupRows({ backups }: { backups: readonly Backup[] }) {
  const { t } = useTranslation();
  const format = useFormat();
  const writes = useCan('backups:write');
  // What tries a backup is a server for a while.
  const tries = useCan('servers:write');
  const [restoring, setRestoring] = useState<Backup | null>(null);
  const [trying, setTrying] = useState<Backup | null>(null);
  const [going, setGoing] = useState<Backup | null>(null);
  return (
    <>
      <Sheet
        label={t('nav.backups')}
        empty={t('backup.none')}
        minWidth={980}
        heads={[
          t('nav.server'), t('column.status'), t('backup.made'), t('backup.size'), t('backup.storage'), t('backup.origin'),
          t('backup.verified'), ...(writes ? [t('list.actions')] : []),
        ]}
        rows={backups.map((backup) => ({
          key: backup.id,
          cells: [
            <div key="s">
              <Anchor component={Link} to={`/servers/${backup.server_id}`} size="sm">
                {backup.server_name}
              </Anchor>
              <Text className="mono" c="dimmed">
                {backup.backup_id}
              </Text>
              {backup.notes ? <Text size="xs">{backup.notes}</Text> : null}
            </div>,
            <Outcome key="o" backup={backup} />,
            format.moment(backup.finished_at ?? backup.created_at),
            backup.size_bytes === null ? t('metric.unknown') : format.bytes(backup.size_bytes),
            `${backup.storage}${backup.protected ? ` · ${t('backup.protected')}` : ''}`,
            t(`backup.origin_${backup.origin}`, { defaultValue: backup.origin }),
            backup.verified_at
              ? `${format.moment(backup.verified_at)} · ${t(`backup.by_${backup.verified_by ?? ''}`, { defaultValue: backup.verified_by ?? '' })}`
              : t('backup.notVerified'),
            ...(writes
              ? [
                  <Group key="a" gap={6} wrap="nowrap">
                    <Button
                      size="compact-xs"
                      variant="default"
                      disabled={backup.status !== 'completed'}
                      onClick={() => setRestoring(backup)}
                    >
                      {t('backup.restore')}
                    </Button>
                    {tries ? (
                      <Button
                        size="compact-xs"
                        variant="default"
                        disabled={!isGood(backup)}
                        onClick={() => setTrying(backup)}
                      >
                        {t('drill.try')}
                      </Button>
                    ) : null}
                    <Tooltip label={t('backup.isProtected')} disabled={!backup.protected}>
                      <Button
                        size="compact-xs"
                        variant="default"
                        c="var(--tpm-bad)"
                        aria-disabled={backup.protected}
                        onClick={() => backup.protected || setGoing(backup)}
                      >
                        {t('action.delete')}
                      </Button>
                    </Tooltip>
                  </Group>,
                ]
              : []),
          ],
        }))}
      />
      {restoring ? <RestoreForm backup={restoring} onClose={() => setRestoring(null)} /> : null}
      {trying ? <DrillForm backup={trying} onClose={() => setTrying(null)} /> : null}
      {going ? <DeleteBackup backup={going} onClose={() => setGoing(null)} /> : null}
    </>
  );
}

/** Whether there is an archive to try. */
function isGood(backup: Backup): boolean {
  return backup.status === 'completed' && backup.volume !== null;
}

function Outcome({ backup }: { backup: Backup }) {
  const { t } = useTranslation();
  return (
    <>
      <Status kind="backup" value={backup.status} />
      {backup.condemned && backup.status === 'completed' ? <Text size="xs">{t('backup.condemned')}</Text> : null}
      {backup.error ? <Text size="xs">{backup.error}</Text> : null}
      {backup.warnings.length > 0 ? (
        <Text size="xs" c="var(--tpm-warn)" title={backup.warnings.join('\n')}>
          {t('backup.warnings', { count: backup.warnings.length })}: {backup.warnings[0]}
        </Text>
      ) : null}
    </>
  );
}
