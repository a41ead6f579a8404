/** What somebody changed on the guest by hand, and what is to become of it. */
import { Button, Group, SegmentedControl, Stack, Table, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, ask, onceKey, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import { FormFault } from '../../ui/FormFault';
import { QueryView } from '../../ui/states';
import { placeless } from './faults';

type Choice = Schemas['DriftChoiceWord'];

export function DriftPanel({ id }: { id: number }) {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: keys.drift(id),
    queryFn: ({ signal }) => ask(api.GET('/api/servers/{server_id}/drift', { params: { path: { server_id: id } }, signal })),
  });
  return (
    <QueryView query={query} rows={3}>
      {(drift) => (
        <Stack gap="sm">
          <Text size="sm">{t(`drift.${drift.drift}`)}</Text>
          {drift.problem ? <Text size="sm" c="var(--tpm-bad)">{drift.problem.message}</Text> : null}
          {drift.changes.length + drift.ignored.length > 0 ? <Decide drift={drift} /> : null}
        </Stack>
      )}
    </QueryView>
  );
}

function Decide({ drift }: { drift: Schemas['Drift'] }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const writes = useCan('servers:write');
  const [choices, setChoices] = useState<Record<string, Choice>>({});
  const decide = useMutation({
    mutationFn: () =>
      ask(
        api.POST('/api/servers/{server_id}/drift', {
          params: { path: { server_id: drift.server_id }, header: { 'Idempotency-Key': onceKey() } },
          body: { fields: choices },
        }),
      ),
    onSuccess: (answer) => {
      setChoices({});
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.server(drift.server_id) });
    },
  });
  const pick = (option: string, words: readonly Choice[]) => (
    <SegmentedControl
      size="xs"
      aria-label={t('drift.decide', { option })}
      data={[{ value: '', label: t('drift.later') }, ...words.map((value) => ({ value, label: t(`drift.${value}`) }))]}
      value={choices[option] ?? ''}
      onChange={(value) =>
        setChoices((old) => {
          const next = Object.fromEntries(Object.entries(old).filter(([key]) => key !== option));
          const word = words.find((one) => one === value);
          return word ? { ...next, [option]: word } : next;
        })
      }
      disabled={!writes}
    />
  );
  return (
    <Stack gap="sm">
      <Table.ScrollContainer minWidth={560} type="native">
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('drift.option')}</Table.Th>
              <Table.Th>{t('drift.wanted')}</Table.Th>
              <Table.Th>{t('drift.found')}</Table.Th>
              <Table.Th>{t('drift.decision')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {drift.changes.map((change) => (
              <Table.Tr key={change.option}>
                <Table.Td className="mono">{change.option}</Table.Td>
                <Table.Td className="mono diff-old">{change.wanted ?? t('drift.unset')}</Table.Td>
                <Table.Td className="mono diff-new">{change.found ?? t('drift.unset')}</Table.Td>
                <Table.Td>{pick(change.option, ['adopt', 'revert', 'ignore'])}</Table.Td>
              </Table.Tr>
            ))}
            {drift.ignored.map((option) => (
              <Table.Tr key={option}>
                <Table.Td className="mono">{option}</Table.Td>
                <Table.Td colSpan={2}>{t('drift.ignored')}</Table.Td>
                <Table.Td>{pick(option, ['watch'])}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <FormFault error={decide.error} rest={placeless(decide.error)} />
      {writes ? (
        <Group>
          <Button
            size="xs"
            disabled={Object.keys(choices).length === 0}
            loading={decide.isPending}
            onClick={() => decide.mutate()}
          >
            {t('drift.apply', { count: Object.keys(choices).length })}
          </Button>
        </Group>
      ) : null}
    </Stack>
  );
}
