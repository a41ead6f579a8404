/** Schedules: when which servers are backed up or their backups tried, what came of it last, and what is kept. */
import { Button, Group, Stack } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { keys } from '../../api/keys';
import { changeSchedule, deleteSchedule, listSchedules, runSchedule, type Schedule } from '../../api/schedules';
import { useCan } from '../../session/context';
import { Confirm } from '../../ui/Confirm';
import { Card } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { FaultAlert, QueryView } from '../../ui/states';
import { RetentionPreview } from './RetentionPreview';
import { Does, Kept, LastRun, Name, NextRuns, prunes, Target, When } from './ScheduleCells';
import { ScheduleForm } from './ScheduleForm';

type Act = 'run' | 'enable' | 'disable';

export function Schedules() {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const writes = useCan('backups:write');
  const [form, setForm] = useState<Schedule | 'new' | null>(null);
  const [going, setGoing] = useState<Schedule | null>(null);
  const [looking, setLooking] = useState<Schedule | null>(null);
  const query = useQuery({
    queryKey: keys.schedules,
    queryFn: ({ signal }) => listSchedules(signal),
    refetchInterval: 15_000,
  });
  const told = (answer: { message: string }): void => {
    notifications.show({ message: answer.message });
    void cache.invalidateQueries({ queryKey: keys.backups });
  };
  const act = useMutation({
    mutationFn: ({ schedule, what }: { schedule: Schedule; what: Act }) =>
      what === 'run' ? runSchedule(schedule.id) : changeSchedule(schedule.id, { enabled: what === 'enable' }),
    onSuccess: told,
  });
  const remove = useMutation({
    mutationFn: (schedule: Schedule) => deleteSchedule(schedule.id),
    onSuccess: (answer) => {
      setGoing(null);
      told(answer);
    },
  });
  const button = (schedule: Schedule, what: Act) => (
    <Button
      size="compact-xs"
      variant="default"
      loading={act.isPending && act.variables.schedule.id === schedule.id && act.variables.what === what}
      onClick={() => act.mutate({ schedule, what })}
    >
      {t(`schedule.${what}`)}
    </Button>
  );
  return (
    <Card
      actions={
        writes ? (
          <Button size="compact-sm" onClick={() => setForm('new')}>
            {t('schedule.new')}
          </Button>
        ) : null
      }
    >
      <Stack gap="sm">
        {act.isError ? <FaultAlert error={act.error} /> : null}
        <QueryView query={query}>
          {({ schedules }) => (
            <Sheet
              label={t('schedule.title')}
              empty={t('schedule.none')}
              minWidth={1020}
              heads={[
                t('column.name'), t('schedule.what'), t('schedule.when'), t('schedule.next'), t('schedule.last'),
                t('schedule.target'), t('schedule.kept'), t('list.actions'),
              ]}
              rows={schedules.map((schedule) => ({
                key: schedule.id,
                cells: [
                  <Name key="n" schedule={schedule} />,
                  <Does key="d" drill={schedule.drill} />,
                  <When key="w" schedule={schedule} />,
                  <NextRuns key="r" schedule={schedule} />,
                  <LastRun key="l" run={schedule.last_run} />,
                  <Target key="t" target={schedule.target} />,
                  <Kept key="k" schedule={schedule} />,
                  <Group key="b" gap={6}>
                    {!schedule.drill || prunes(schedule) ? (
                      <Button size="compact-xs" variant="default" onClick={() => setLooking(schedule)}>
                        {t('schedule.preview')}
                      </Button>
                    ) : null}
                    {writes ? (
                      <>
                        {button(schedule, 'run')}
                        {button(schedule, schedule.enabled ? 'disable' : 'enable')}
                        <Button size="compact-xs" variant="default" onClick={() => setForm(schedule)}>
                          {t('action.edit')}
                        </Button>
                        <Button
                          size="compact-xs"
                          variant="default"
                          c="var(--tpm-bad)"
                          onClick={() => {
                            remove.reset();
                            setGoing(schedule);
                          }}
                        >
                          {t('action.delete')}
                        </Button>
                      </>
                    ) : null}
                  </Group>,
                ],
              }))}
            />
          )}
        </QueryView>
      </Stack>
      {form ? <ScheduleForm schedule={form === 'new' ? null : form} onClose={() => setForm(null)} /> : null}
      {looking ? <RetentionPreview schedule={looking} onClose={() => setLooking(null)} /> : null}
      <Confirm
        opened={going !== null}
        onClose={() => setGoing(null)}
        title={t('schedule.deleteOf', { name: going?.name ?? '' })}
        text={t(going?.drill ? 'schedule.deleteDrillText' : 'schedule.deleteText')}
        word={going?.name ?? ''}
        action={t('action.delete')}
        pending={remove.isPending}
        error={remove.error}
        onConfirm={() => going && remove.mutate(going)}
      />
    </Card>
  );
}
