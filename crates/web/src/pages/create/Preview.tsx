/** What a request would come to, asked of the service before anything is made. */
import { List, Loader, Stack, Text } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { api, ask, type Schemas } from '../../api/client';
import { isFault } from '../../api/fault';
import { useFormat } from '../../i18n/format';
import { Facts } from '../../ui/Page';
import { FaultAlert } from '../../ui/states';
import { nicText } from '../server/Configuration';

/** `body` is null while the form holds nothing that could be asked. */
export function usePlan(body: Schemas['CreateServer'] | null) {
  return useQuery({
    queryKey: ['plan', body],
    queryFn: async ({ signal }) => {
      if (!body) throw new Error('nothing to plan');
      return ask(api.POST('/api/servers/plan', { body, signal }));
    },
    enabled: body !== null,
    placeholderData: keepPreviousData,
    staleTime: 5000,
    gcTime: 30_000,
    refetchInterval: 15_000,
    retry: false,
  });
}

export function Preview({ plan, count, names, taken }: {
  plan: ReturnType<typeof usePlan>;
  count: number;
  names: readonly string[];
  taken: readonly string[];
}) {
  const { t } = useTranslation();
  const format = useFormat();
  const { data, error } = plan;
  return (
    <Stack gap="sm" aria-live="polite">
      {taken.length > 0 ? (
        <Text size="sm" c="var(--tpm-bad)">
          {t('create.namesTaken', { names: taken.slice(0, 5).join(', '), count: taken.length })}
        </Text>
      ) : null}
      {error ? (
        isFault(error) && error.fields.length > 0 ? (
          <List size="sm" c="var(--tpm-bad)">
            {error.fields.map((problem) => (
              <List.Item key={problem.field}>
                {problem.field}: {problem.reason}
              </List.Item>
            ))}
          </List>
        ) : (
          <FaultAlert error={error} />
        )
      ) : data ? (
        <Facts
          rows={[
            [t('column.name'), data.name],
            [t('column.node'), data.placement?.node],
            [t('create.why'), data.placement?.reason],
            [t('column.vmid'), data.vmid],
            ...data.network_config.map((nic, n): [string, string] => [`net${n}`, nicText(nic)]),
            [t('create.template'), data.placement ? `${data.placement.template} → ${data.placement.storage}` : null],
            [t('column.engine'), data.engine],
            [
              t('create.room'),
              data.placement
                ? t('create.roomText', {
                    memory: format.memory(data.placement.free_memory),
                    cpu: format.number(data.placement.free_cpu),
                    disk: format.disk(data.placement.free_disk),
                  })
                : null,
            ],
          ]}
        />
      ) : (
        <Text size="sm" c="dimmed">
          {plan.isFetching ? <Loader size="xs" /> : null} {t('create.previewWaits')}
        </Text>
      )}
      {count > 1 ? (
        <Text size="xs" c="dimmed">
          {t('create.previewFirst', { first: names[0] ?? '', last: names.at(-1) ?? '', count })}
        </Text>
      ) : null}
      <Text size="xs" c="dimmed">
        {t('create.nothingReserved')}
      </Text>
    </Stack>
  );
}
