/** Projects, with what they have and may have. */
import { Anchor, Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { type Format, useFormat } from '../../i18n/format';
import { useCan } from '../../session/context';
import { Card, Page } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';
import { ProjectForm } from './ProjectForm';

type Bound = keyof Schemas['Quota'];
const BOUNDS: readonly Bound[] = ['servers', 'cpu', 'memory', 'disk_size'];

function shown(format: Format, bound: Bound, value: number): string {
  if (bound === 'memory') return format.memory(value);
  return bound === 'disk_size' ? format.disk(value) : format.number(value);
}

export default function ProjectsPage() {
  const { t } = useTranslation();
  const format = useFormat();
  const writes = useCan('projects:write');
  const [form, setForm] = useState<Schemas['Project'] | 'new' | null>(null);
  const query = useQuery({ queryKey: keys.projects, queryFn: ({ signal }) => ask(api.GET('/api/projects', { signal })) });
  return (
    <Page
      title={t('nav.projects')}
      actions={
        writes ? (
          <Button size="compact-sm" onClick={() => setForm('new')}>
            {t('project.new')}
          </Button>
        ) : null
      }
    >
      <Card>
        <QueryView query={query}>
          {({ projects }) => (
            <Sheet
              label={t('nav.projects')}
              empty={t('project.none')}
              minWidth={760}
              heads={[
                t('column.name'), t('field.description'), ...BOUNDS.map((bound) => t(`project.${bound}`)),
                ...(writes ? [t('list.actions')] : []),
              ]}
              rows={projects.map((project) => ({
                key: project.id,
                cells: [
                  <Anchor key="n" component={Link} size="sm" to={`/servers?project=${project.name}`}>
                    {project.name}
                  </Anchor>,
                  project.description || '–',
                  ...BOUNDS.map((bound) => {
                    const most = project.quota[bound];
                    const text = shown(format, bound, project.usage[bound]);
                    return most === null ? text : `${text} / ${shown(format, bound, most)}`;
                  }),
                  ...(writes
                    ? [
                        <Button key="e" size="compact-xs" variant="default" onClick={() => setForm(project)}>
                          {t('action.edit')}
                        </Button>,
                      ]
                    : []),
                ],
              }))}
            />
          )}
        </QueryView>
      </Card>
      {form ? <ProjectForm project={form === 'new' ? null : form} onClose={() => setForm(null)} /> : null}
    </Page>
  );
}
