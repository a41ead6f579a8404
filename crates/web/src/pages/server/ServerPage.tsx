/** One server. */
import { Alert, Button, Group, Stack, Tabs, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link, useParams, useSearchParams } from 'react-router';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useCan, useSession } from '../../session/context';
import { Card, Page } from '../../ui/Page';
import { QueryView } from '../../ui/states';
import { Status } from '../../ui/Status';
import { TaskRows } from '../tasks/TaskRows';
import { Charts } from './Charts';
import { Configuration } from './Configuration';
import { DriftPanel } from './DriftPanel';
import { Eject, PowerActions } from './PowerActions';
import { Readiness } from './Readiness';
import { ServerAudit } from './ServerAudit';
import { ServerBackups } from './ServerBackups';
import { StatePanel } from './StatePanel';

export default function ServerPage() {
  const { t } = useTranslation();
  const id = Number(useParams()['id']);
  const query = useQuery({
    queryKey: keys.server(id),
    queryFn: ({ signal }) => ask(api.GET('/api/servers/{server_id}', { params: { path: { server_id: id } }, signal })),
  });
  if (query.isError && query.data) {
    return (
      <Page title={query.data.name}>
        <Alert color="gray" variant="outline" title={t('server.gone')}>
          <Link to="/servers">{t('nav.servers')}</Link>
        </Alert>
      </Page>
    );
  }
  return (
    <QueryView query={query} rows={10}>
      {(server) => <Content server={server} />}
    </QueryView>
  );
}

const TABS = ['overview', 'drift', 'backups', 'tasks', 'state', 'audit'] as const;

function Content({ server }: { server: Schemas['Server'] }) {
  const { t } = useTranslation();
  const writes = useCan('servers:write');
  const { can } = useSession();
  const [params, setParams] = useSearchParams();
  const tab = TABS.find((one) => one === params.get('tab')) ?? 'overview';
  const offered = {
    overview: true,
    drift: true,
    backups: can('backups:read'),
    tasks: can('tasks:read'),
    state: server.engine === 'terraform',
    audit: can('audit:read'),
  };
  const tabs = TABS.filter((one) => offered[one]);
  return (
    <Page
      title={server.name}
      actions={
        <>
          <PowerActions server={server} />
          {writes ? (
            <Button size="compact-sm" variant="default" component={Link} to={`/servers/${server.id}/edit`}>
              {t('server.edit')}
            </Button>
          ) : null}
          <Eject server={server} />
        </>
      }
    >
      <Group gap="md">
        <Text component="span" fw={600} data-testid="status">
          <Status kind="server" value={server.status} />
        </Text>
        <Text size="sm">{server.ip_address ?? t('server.noAddress')}</Text>
        {server.task_id ? <Link to={`/tasks/${server.task_id}`}>{t('server.atWork')}</Link> : null}
        {server.drift.length > 0 ? <Link to="?tab=drift">{t('server.drifted', { count: server.drift.length })}</Link> : null}
      </Group>
      {server.error ? (
        <Alert color={server.status === 'running' ? 'yellow' : 'red'} variant="outline" title={server.error.message}>
          <Text size="sm">{t(`advice.${server.error.code}`, { defaultValue: t('advice.other') })}</Text>
          {server.error.details.proxmox ? <Text className="mono">{server.error.details.proxmox}</Text> : null}
        </Alert>
      ) : null}
      <Tabs
        value={tab}
        keepMounted={false}
        onChange={(next) =>
          setParams((old) => {
            if (next && next !== 'overview') old.set('tab', next);
            else old.delete('tab');
            return old;
          })
        }
      >
        <Tabs.List mb="md">
          {tabs.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {t(`server.tab.${one}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="overview">
          <Stack gap="md">
            <div className="grid2">
              <Card title={t('server.configuration')}>
                <Configuration server={server} />
              </Card>
              <Card title={t('server.readiness')}>
                <Readiness rungs={server.readiness} />
              </Card>
            </div>
            <Charts id={server.id} />
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="drift">
          <Card title={t('server.tab.drift')}>
            <DriftPanel id={server.id} />
          </Card>
        </Tabs.Panel>
        <Tabs.Panel value="backups">
          <Card title={t('server.tab.backups')}>
            <ServerBackups id={server.id} />
          </Card>
        </Tabs.Panel>
        <Tabs.Panel value="tasks">
          <Card title={t('server.tab.tasks')}>
            <ServerTasks id={server.id} />
          </Card>
        </Tabs.Panel>
        <Tabs.Panel value="state">
          <Card title={t('server.tab.state')}>
            <StatePanel id={server.id} />
          </Card>
        </Tabs.Panel>
        <Tabs.Panel value="audit">
          <Card title={t('server.tab.audit')}>
            <ServerAudit id={server.id} />
          </Card>
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function ServerTasks({ id }: { id: number }) {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: [...keys.tasks, 'server', id],
    queryFn: ({ signal }) => ask(api.GET('/api/tasks', { params: { query: { server_id: id, limit: 100 } }, signal })),
  });
  return <QueryView query={query}>{({ tasks }) => <TaskRows tasks={tasks} empty={t('task.none')} brief />}</QueryView>;
}
