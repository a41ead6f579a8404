/** One drill: how it came out, what was seen step by step, and the evidence as it was written down. */
import { Alert, Modal, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { type Drill, getDrill } from '../../api/drills';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { CodeBlock } from '../../ui/CodeBlock';
import { Facts } from '../../ui/Page';
import { QueryView } from '../../ui/states';
import { Status } from '../../ui/Status';
import { DrillBy, tookOf } from './DrillCells';
import { DrillSteps } from './DrillSteps';
import { type Evidence, evidenceOf, logOf } from './evidence';

/** Whether something of it is still to come. */
function goesOn(drill: Drill): boolean {
  return drill.status === 'running' || (drill.task_id !== null && drill.cleared_at === null);
}

export function DrillDetails({ id, onClose }: { id: string; onClose: () => void }) {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: keys.drill(id),
    queryFn: ({ signal }) => getDrill(id, signal),
    refetchInterval: (asked) => (asked.state.data && goesOn(asked.state.data) ? 3000 : false),
  });
  return (
    <Modal
      opened
      onClose={onClose}
      size="xl"
      title={query.data ? t('drill.of', { name: query.data.server_name }) : t('drill.title')}
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <QueryView query={query} rows={8}>
        {(drill) => <Content drill={drill} />}
      </QueryView>
    </Modal>
  );
}

function Content({ drill }: { drill: Drill }) {
  const { t } = useTranslation();
  const evidence = evidenceOf(drill.evidence);
  const log = evidence?.steps.flatMap(logOf) ?? [];
  return (
    <Stack gap="md">
      <Told drill={drill} evidence={evidence} />
      {drill.error ? (
        <Alert color="red" variant="outline">
          {drill.error}
        </Alert>
      ) : null}
      {evidence ? (
        <section aria-label={t('drill.steps')}>
          <Title order={3} size="h5" mb="xs">
            {t('drill.steps')}
          </Title>
          <DrillSteps steps={evidence.steps} />
        </section>
      ) : null}
      {log.length > 0 ? <CodeBlock label={t('drill.log')} text={log.join('\n')} /> : null}
      {drill.evidence_text ? (
        <CodeBlock label={t('drill.evidence')} text={drill.evidence_text} />
      ) : (
        <Text size="sm">{t(drill.status === 'running' ? 'drill.undecided' : 'drill.noEvidence')}</Text>
      )}
      {drill.digest ? (
        <div>
          <CodeBlock label={t('drill.digest')} text={drill.digest} />
          <Text size="xs" c="dimmed">
            {t('drill.digestHint')}
          </Text>
        </div>
      ) : null}
    </Stack>
  );
}

function Told({ drill, evidence }: { drill: Drill; evidence: Evidence | null }) {
  const { t } = useTranslation();
  const format = useFormat();
  const unknown = '–';
  const { vmid = null, node = null, ip_address = null } = evidence ?? {};
  const cleared = drill.cleared_at
    ? format.moment(drill.cleared_at)
    : t(drill.task_id === null ? 'drill.nothingMade' : 'drill.clearing');
  return (
    <Facts
      rows={[
        [t('column.status'), <Status key="s" kind="drill" value={drill.status} />],
        [t('nav.server'), <Link key="l" to={`/servers/${drill.server_id}`}>{drill.server_name}</Link>],
        [t('drill.backup'), <span key="k" className="mono">{drill.backup_id}</span>],
        [t('drill.goal'), t(`drill.goal_${drill.goal}`, { defaultValue: drill.goal })],
        ...(drill.command.length > 0
          ? [[t('drill.command'), <Words key="c" words={drill.command} />] as const]
          : []),
        [t('drill.by'), <DrillBy key="b" drill={drill} />],
        [t('drill.begun'), format.moment(drill.created_at)],
        [t('drill.decided'), drill.decided_at ? `${format.moment(drill.decided_at)} (${tookOf(drill, format)})` : unknown],
        [t('drill.cleared'), cleared],
        ...(vmid === null
          ? []
          : [[t('drill.guest'), t('drill.where_guest', { vmid, node: node ?? unknown, address: ip_address ?? unknown })] as const]),
        [t('drill.task'), drill.task_id ? <Link key="t" to={`/tasks/${drill.task_id}`}>{t('drill.progress')}</Link> : unknown],
      ]}
    />
  );
}

/** Each argument by itself, so that spaces inside of one are seen. */
function Words({ words }: { words: readonly string[] }) {
  return (
    <>
      {words.map((word, n) => (
        <div key={n} className="mono" style={{ whiteSpace: 'pre-wrap' }}>
          {word}
        </div>
      ))}
    </>
  );
}
