/** Changes a server: what is going to be different is shown before it is asked for. */
import { Alert, Button, Group, NumberInput, Select, Stack, TagsInput, Textarea, Text, TextInput } from '@mantine/core';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Controller, useForm, useWatch } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import { useNavigate, useParams } from 'react-router';
import { api, ask, onceKey, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import { CodeBlock } from '../../ui/CodeBlock';
import { FormFault } from '../../ui/FormFault';
import { placeFaults } from '../../ui/forms';
import { Card, Page } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';
import { curl } from '../create/code';
import '../create/create.css';
import { changes, type EditValues, editShape, patch, startOf } from './edit';

const FIELDS = ['cpu', 'memory', 'disk_size', 'tags', 'description', 'expires_at', 'on_expiry', 'project', 'confirm'] as const;

export default function EditPage() {
  const id = Number(useParams()['id']);
  const query = useQuery({
    queryKey: keys.server(id),
    queryFn: ({ signal }) => ask(api.GET('/api/servers/{server_id}', { params: { path: { server_id: id } }, signal })),
  });
  return <QueryView query={query}>{(server) => <Form server={server} />}</QueryView>;
}

function Form({ server }: { server: Schemas['Server'] }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  // What is compared with is what was there when the form was opened.
  const [base] = useState(server);
  const [rest, setRest] = useState<string[]>([]);
  const resolver = useMemo(() => zodResolver(editShape(t, base)), [t, base]);
  const form = useForm<EditValues>({ resolver, defaultValues: startOf(base) });
  const values = useWatch({ control: form.control }) as EditValues;
  const body = patch(base, values);
  const changed = changes(base, values);
  const seesProjects = useCan('projects:read');
  const projects = useQuery({
    queryKey: keys.projects,
    queryFn: ({ signal }) => ask(api.GET('/api/projects', { signal })),
    enabled: seesProjects,
  });
  const save = useMutation({
    mutationFn: (wanted: EditValues) =>
      ask(
        api.PATCH('/api/servers/{server_id}', {
          params: { path: { server_id: base.id }, header: { 'Idempotency-Key': onceKey() } },
          body: patch(base, wanted),
        }),
      ),
    onSuccess: (answer) => void navigate(answer.task_id ? `/tasks/${answer.task_id}` : `/servers/${base.id}`),
    onError: (error) => setRest(placeFaults(error, form.setError, FIELDS)),
  });
  const { errors } = form.formState;
  const number = (name: 'cpu' | 'memory' | 'disk_size', label: string, step: number) => (
    <Controller
      control={form.control}
      name={name}
      render={({ field }) => <NumberInput label={label} min={1} step={step} error={errors[name]?.message} {...field} />}
    />
  );
  const moved = server.updated_at !== base.updated_at && server.status !== base.status;
  return (
    <Page title={t('server.editOf', { name: base.name })}>
      <form noValidate onSubmit={form.handleSubmit((wanted) => save.mutate(wanted))}>
        <div className="create">
          <Card title={t('server.configuration')}>
            <Stack gap="sm">
              {moved ? <Alert color="yellow" variant="outline">{t('server.changedMeanwhile')}</Alert> : null}
              <div className="grid-fields">
                {number('cpu', t('create.cpu'), 1)}
                {number('memory', t('create.memory'), 1024)}
                {number('disk_size', t('create.disk'), 10)}
              </div>
              <Controller
                control={form.control}
                name="project"
                render={({ field }) => (
                  <Select
                    label={t('column.project')}
                    data={[...new Set([base.project, ...(projects.data?.projects ?? []).map((one) => one.name)])]}
                    allowDeselect={false}
                    error={errors.project?.message}
                    {...field}
                  />
                )}
              />
              <Controller
                control={form.control}
                name="tags"
                render={({ field }) => <TagsInput label={t('column.tags')} error={errors.tags?.message} {...field} />}
              />
              <Textarea
                label={t('field.description')}
                autosize
                minRows={2}
                error={errors.description?.message}
                {...form.register('description')}
              />
              <TextInput
                type="datetime-local"
                label={t('create.expires')}
                error={errors.expires_at?.message}
                {...form.register('expires_at')}
              />
              {values.expires_at ? (
                <Controller
                  control={form.control}
                  name="on_expiry"
                  render={({ field }) => (
                    <Select
                      label={t('create.on_expiry')}
                      allowDeselect={false}
                      data={(['stop', 'delete'] as const).map((value) => ({ value, label: t(`create.on_expiry_${value}`) }))}
                      error={errors.on_expiry?.message}
                      {...field}
                    />
                  )}
                />
              ) : null}
              <TextInput
                label={t('server.confirm')}
                description={t('server.confirmHint')}
                autoComplete="off"
                error={errors.confirm?.message}
                {...form.register('confirm')}
              />
            </Stack>
          </Card>
          <Stack gap="md">
            <Card title={t('server.willChange')}>
              <Sheet
                label={t('server.willChange')}
                empty={t('server.nothingChanges')}
                minWidth={320}
                heads={[t('drift.option'), t('diff.before'), t('diff.after')]}
                rows={changed.map((change) => ({
                  key: change.field,
                  cells: [
                    t(change.label),
                    <span key="b" className="mono diff-old">{change.before || '–'}</span>,
                    <span key="a" className="mono diff-new">{change.after || '–'}</span>,
                  ],
                }))}
              />
              <Text size="xs" c="dimmed">
                {t('server.planFollows')}
              </Text>
            </Card>
            <FormFault error={save.error} rest={rest} />
            <Group justify="flex-end">
              <Button variant="default" onClick={() => void navigate(`/servers/${base.id}`)}>
                {t('action.cancel')}
              </Button>
              <Button type="submit" loading={save.isPending} disabled={changed.length === 0}>
                {t('server.save')}
              </Button>
            </Group>
            <Card title={t('create.asCode')}>
              <CodeBlock label={t('create.curlKey')} text={curl('PATCH', `/api/servers/${base.id}`, body)} />
            </Card>
          </Stack>
        </div>
      </form>
    </Page>
  );
}
