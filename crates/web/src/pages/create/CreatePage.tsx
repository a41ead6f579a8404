/** One form for one server or many: where they would go is shown before it is asked for. */
import { Accordion, Button, Group, Stack, Tabs } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useForm, useWatch } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { api, ask, onceKey } from '../../api/client';
import { isFault } from '../../api/fault';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import { CodeBlock } from '../../ui/CodeBlock';
import { FormFault } from '../../ui/FormFault';
import { placeFaults } from '../../ui/forms';
import { Card, Page } from '../../ui/Page';
import { useTakenNames } from './checks';
import { curl, yaml } from './code';
import './create.css';
import { MoreFields } from './MoreFields';
import { NetworkFields } from './NetworkFields';
import { Preview, usePlan } from './Preview';
import { SizeFields } from './SizeFields';
import { BEGIN, FIELDS, formField, serverNames, several, shape, single, type Values } from './values';

export default function CreatePage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const resolver = useMemo(() => zodResolver(shape(t)), [t]);
  const form = useForm<Values>({ resolver, defaultValues: BEGIN });
  const [rest, setRest] = useState<string[]>([]);
  // The same key for the same request: a second press makes nothing twice.
  const [once, setOnce] = useState({ key: onceKey(), body: '' });
  const seesProjects = useCan('projects:read');
  const projects = useQuery({
    queryKey: keys.projects,
    queryFn: ({ signal }) => ask(api.GET('/api/projects', { signal })),
    enabled: seesProjects,
  });
  const values = useWatch({ control: form.control }) as Values;
  const [settled] = useDebouncedValue(values, 400);
  const valid = useMemo(() => shape(t).safeParse(settled).success, [settled, t]);
  const plan = usePlan(valid ? single(settled) : null);
  const names = valid ? serverNames(settled.name, settled.count) : [];
  const taken = useTakenNames(valid ? settled.name : '', names);
  const many = values.count > 1;
  const path = many ? '/api/servers/bulk-create' : '/api/servers/create';
  const body = useMemo(() => (values.count > 500 ? {} : many ? several(values) : single(values)), [values, many]);

  const create = useMutation({
    mutationFn: async (wanted: Values) => {
      const text = JSON.stringify(wanted);
      const key = once.body === text || once.body === '' ? once.key : onceKey();
      setOnce({ key, body: text });
      const params = { header: { 'Idempotency-Key': key } };
      return wanted.count > 1
        ? ask(api.POST('/api/servers/bulk-create', { params, body: several(wanted) }))
        : ask(api.POST('/api/servers/create', { params, body: single(wanted) })).then((answer) => {
            if ('task_id' in answer) return answer;
            throw new Error('the service only planned it');
          });
    },
    onSuccess: (answer) => void navigate(`/tasks/${answer.task_id}`),
    onError: (error) => {
      setRest(placeFaults(error, form.setError, FIELDS, formField));
      // Where nobody answered, it may have been accepted all the same.
      if (!(isFault(error) && error.passing)) setOnce({ key: onceKey(), body: '' });
    },
  });
  return (
    <Page title={t('nav.create')}>
      <form noValidate onSubmit={form.handleSubmit((wanted) => create.mutate(wanted))}>
        <div className="create">
          <Stack gap="md">
            <Card title={t('create.what')}>
              <SizeFields form={form} projects={(projects.data?.projects ?? []).map((one) => one.name)} />
            </Card>
            <Card title={t('create.where')}>
              <NetworkFields form={form} />
            </Card>
            <Accordion variant="contained">
              <Accordion.Item value="more">
                <Accordion.Control>{t('create.more')}</Accordion.Control>
                <Accordion.Panel>
                  <MoreFields form={form} />
                </Accordion.Panel>
              </Accordion.Item>
            </Accordion>
            <FormFault error={create.error} rest={rest} />
            <Group justify="flex-end">
              <Button type="submit" loading={create.isPending}>
                {many ? t('create.submitMany', { count: values.count }) : t('create.submit')}
              </Button>
            </Group>
          </Stack>
          <Stack gap="md">
            <Card title={t('create.preview')}>
              <Preview plan={plan} count={settled.count} names={names} taken={taken} />
            </Card>
            <Card title={t('create.asCode')}>
              <Tabs defaultValue="yaml">
                <Tabs.List mb="xs">
                  <Tabs.Tab value="yaml">YAML</Tabs.Tab>
                  <Tabs.Tab value="curl">curl</Tabs.Tab>
                </Tabs.List>
                <Tabs.Panel value="yaml">
                  <CodeBlock label={`POST ${path}`} text={yaml(body)} />
                </Tabs.Panel>
                <Tabs.Panel value="curl">
                  <CodeBlock label={t('create.curlKey')} text={curl('POST', path, body)} />
                </Tabs.Panel>
              </Tabs>
            </Card>
          </Stack>
        </div>
      </form>
    </Page>
  );
}
