/** A schedule that is made or changed. */
import { Autocomplete, Fieldset, NumberInput, Radio, Select, SimpleGrid, Stack, Switch, Text, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Controller, type Resolver, useForm, useWatch } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import { COMPRESSIONS, MODES } from '../../api/backups';
import { api, ask, onceKey } from '../../api/client';
import { keys } from '../../api/keys';
import { changeSchedule, createSchedule, KEEPS, type Schedule } from '../../api/schedules';
import { useCan } from '../../session/context';
import { FormModal } from '../../ui/FormModal';
import { placeFaults } from '../../ui/forms';
import { CommandField, GoalField } from './DrillFields';
import { type Bound, bodyOf, BOUNDS, FIELDS, fieldOf, rules, type Values, valuesOf, WAYS, WHATS } from './schedule';
import { ServersPick } from './ServersPick';

const ROLES = ['web', 'was', 'db'];
const zones = (): string[] => ['UTC', ...Intl.supportedValuesOf('timeZone').filter((zone) => zone !== 'UTC')];

export function ScheduleForm({ schedule, onClose }: { schedule: Schedule | null; onClose: () => void }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [rest, setRest] = useState<string[]>([]);
  const nodes = useQuery({ queryKey: keys.nodes, queryFn: ({ signal }) => ask(api.GET('/api/nodes', { signal })) });
  const projects = useQuery({
    queryKey: keys.projects,
    queryFn: ({ signal }) => ask(api.GET('/api/projects', { signal })),
    enabled: useCan('projects:read'),
  });
  const storages = [...new Set((nodes.data?.nodes ?? []).flatMap((node) => node.storages.map((storage) => storage.name)))];
  const made = schedule !== null;
  const resolver = useMemo((): Resolver<Values> => {
    const by = { backup: zodResolver(rules(t, made, 'backup')), drill: zodResolver(rules(t, made, 'drill')) };
    return ((values, ...more) => by[values.what](values, ...more)) as Resolver<Values>;
  }, [t, made]);
  const form = useForm<Values>({ resolver, defaultValues: valuesOf(schedule) });
  const save = useMutation({
    mutationFn: (values: Values): Promise<{ message: string }> =>
      schedule ? changeSchedule(schedule.id, bodyOf(values, schedule)) : createSchedule(bodyOf(values, null), onceKey()),
    onSuccess: (answer) => {
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.schedules });
      onClose();
    },
    onError: (error, { what }) => setRest(placeFaults(error, form.setError, FIELDS[what], fieldOf)),
  });
  const { errors } = form.formState;
  const [way, what] = useWatch({ control: form.control, name: ['way', 'what'] });
  const makes = what === 'backup';
  const choice = (name: 'mode' | 'compress', values: readonly string[]) => (
    <Controller
      control={form.control}
      name={name}
      render={({ field }) => (
        <Select
          label={t(`backup.${name}`)}
          allowDeselect={false}
          data={[...(made ? [] : ['']), ...values].map((value) => ({ value, label: t(`backup.${name}_${value || 'usual'}`) }))}
          error={errors[name]?.message}
          {...field}
        />
      )}
    />
  );
  const suggested = (name: 'role' | 'storage' | 'time_zone', label: string, data: string[], more: object = {}) => (
    <Controller
      control={form.control}
      name={name}
      render={({ field }) => (
        <Autocomplete label={label} data={data} limit={40} error={errors[name]?.message} {...more} {...field} />
      )}
    />
  );
  const bound = (name: Bound, placeholder: string) => (
    <Controller
      control={form.control}
      name={name}
      render={({ field }) => (
        <NumberInput
          label={t(`schedule.${name}`)}
          placeholder={placeholder}
          min={BOUNDS[name][0]}
          error={errors[name]?.message}
          {...field}
        />
      )}
    />
  );
  return (
    <FormModal
      title={schedule ? t('schedule.editOf', { name: schedule.name }) : t('schedule.new')}
      onClose={onClose}
      onSubmit={(event) => void form.handleSubmit((values) => save.mutate(values))(event)}
      pending={save.isPending}
      error={save.error}
      rest={rest}
      action={t('action.save')}
      size="lg"
    >
      <TextInput label={t('column.name')} withAsterisk autoComplete="off" error={errors.name?.message} {...form.register('name')} />
      <Controller
        control={form.control}
        name="enabled"
        render={({ field: { ref, value, onChange } }) => (
          <Switch ref={ref} label={t('schedule.enabled')} checked={value} onChange={onChange} error={errors.enabled?.message} />
        )}
      />
      <Controller
        control={form.control}
        name="what"
        render={({ field }) => (
          <Radio.Group label={t('schedule.what')} description={t('schedule.whatHint')} error={errors.what?.message} {...field}>
            <Stack gap={6} mt={4}>
              {WHATS.map((value) => (
                <Radio key={value} value={value} label={t(`schedule.what_${value}`)} />
              ))}
            </Stack>
          </Radio.Group>
        )}
      />
      {makes ? null : (
        <Fieldset legend={t('drill.title')}>
          <Stack gap="sm">
            <Controller
              control={form.control}
              name="drill.goal"
              render={({ field }) => <GoalField field={field} error={errors.drill?.goal?.message} />}
            />
            <Controller
              control={form.control}
              name="drill.command"
              render={({ field }) => <CommandField field={field} error={errors.drill?.command?.message} />}
            />
          </Stack>
        </Fieldset>
      )}
      <Fieldset legend={t('schedule.when')}>
        <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
          <TextInput
            label={t('schedule.calendar')}
            withAsterisk
            spellCheck={false}
            description={t('schedule.calendarHint')}
            error={errors.calendar?.message}
            {...form.register('calendar')}
          />
          {suggested('time_zone', t('schedule.time_zone'), zones(), { withAsterisk: true, description: t('schedule.zoneHint') })}
          {bound('jitter_seconds', '0')}
          {bound('window_minutes', t('schedule.noBound'))}
        </SimpleGrid>
      </Fieldset>
      <Fieldset legend={t('schedule.target')}>
        <Stack gap="sm">
          <Controller
            control={form.control}
            name="way"
            render={({ field }) => (
              <Radio.Group label={t('schedule.way')} error={errors.way?.message} {...field}>
                <Stack gap={6} mt={4}>
                  {WAYS.map((value) => (
                    <Radio key={value} value={value} label={t(`schedule.way_${value}`)} />
                  ))}
                </Stack>
              </Radio.Group>
            )}
          />
          {way === 'server_ids' ? (
            <Controller
              control={form.control}
              name="server_ids"
              render={({ field: { ref, value, onChange } }) => (
                <ServersPick
                  label={t('nav.servers')}
                  ref={ref}
                  value={value}
                  onChange={onChange}
                  error={[errors.server_ids?.message].flat()[0]}
                />
              )}
            />
          ) : null}
          {way === 'role' ? suggested('role', t('column.role'), ROLES, { withAsterisk: true }) : null}
          {way === 'tag' ? (
            <TextInput label={t('schedule.tag')} withAsterisk error={errors.tag?.message} {...form.register('tag')} />
          ) : null}
          {projects.data ? (
            <Controller
              control={form.control}
              name="project_id"
              render={({ field }) => (
                <Select
                  label={t('column.project')}
                  placeholder={t('schedule.anyProject')}
                  clearable
                  data={projects.data.projects.map((project) => ({ value: String(project.id), label: project.name }))}
                  error={errors.project_id?.message}
                  {...field}
                  value={field.value || null}
                  onChange={(value) => field.onChange(value ?? '')}
                />
              )}
            />
          ) : null}
        </Stack>
      </Fieldset>
      {makes ? (
        <Fieldset legend={t('schedule.kept')} aria-describedby="kept-hint">
          <Text id="kept-hint" size="xs" c="dimmed" mb="xs">
            {t('schedule.keptHint')}
          </Text>
          <SimpleGrid cols={{ base: 2, xs: 3 }} spacing="sm">
            {KEEPS.map((keep) => (
              <Controller
                key={keep}
                control={form.control}
                name={`retention.${keep}`}
                render={({ field }) => (
                  <NumberInput
                    label={t(`schedule.rule_${keep}`)}
                    placeholder="0"
                    min={0}
                    error={errors.retention?.[keep]?.message}
                    {...field}
                  />
                )}
              />
            ))}
          </SimpleGrid>
        </Fieldset>
      ) : null}
      <Fieldset legend={t('schedule.how')}>
        <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
          {makes ? (
            <>
              {choice('mode', MODES)}
              {choice('compress', COMPRESSIONS)}
              {suggested('storage', t('backup.storage'), storages, made ? { withAsterisk: true } : { description: t('backup.storageHint') })}
              <TextInput label={t('backup.notes')} error={errors.notes?.message} {...form.register('notes')} />
            </>
          ) : null}
          {bound('max_per_node', t('backup.mode_usual'))}
          {makes ? bound('max_per_storage', t('backup.mode_usual')) : null}
        </SimpleGrid>
      </Fieldset>
      <Fieldset legend={t('schedule.alerts')}>
        <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
          {bound('max_age_hours', t('schedule.noAlert'))}
          {bound('verified_within_days', t('schedule.noAlert'))}
        </SimpleGrid>
      </Fieldset>
    </FormModal>
  );
}
