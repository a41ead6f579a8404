/** Restore drills: which backups were tried, and how they came out. */
import { Group, Select, Stack, Text } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { DRILL_STATES, listDrills } from '../../api/drills';
import { keys } from '../../api/keys';
import { Card } from '../../ui/Page';
import { Pager, usePage } from '../../ui/Pager';
import { Empty, QueryView } from '../../ui/states';
import { DrillDetails } from './DrillDetails';
import { DrillRows } from './DrillRows';

const SIZE = 50;

export function Drills() {
  const { t } = useTranslation();
  const [params, setParams] = useSearchParams();
  const place = usePage(SIZE);
  const status = DRILL_STATES.find((one) => one === params.get('status'));
  const looked = params.get('drill');
  const query = useQuery({
    queryKey: [...keys.drills, 'page', status, place.page],
    queryFn: ({ signal }) => listDrills({ limit: SIZE, offset: place.offset, ...(status ? { status } : {}) }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
  });
  const look = (drill: string | null): void =>
    setParams((old) => {
      if (drill) old.set('drill', drill);
      else old.delete('drill');
      return old;
    });
  return (
    <Stack gap="md">
      <Group>
        <Select
          size="xs"
          clearable
          w={150}
          aria-label={t('column.status')}
          placeholder={t('column.status')}
          data={DRILL_STATES.map((value) => ({ value, label: t(`status.drill.${value}`) }))}
          value={status ?? null}
          onChange={(value) => setParams({ tab: 'drills', ...(value ? { status: value } : {}) })}
        />
      </Group>
      <Card>
        <QueryView query={query} rows={10}>
          {({ drills, total }) =>
            total === 0 && !status ? (
              <Empty text={t('drill.none')}>
                <Text size="sm" c="dimmed">
                  {t('drill.noneHint')}
                </Text>
              </Empty>
            ) : (
              <>
                <DrillRows drills={drills} onLook={look} />
                <Pager total={total} size={SIZE} page={place.page} go={place.go} />
              </>
            )
          }
        </QueryView>
      </Card>
      {looked ? <DrillDetails id={looked} onClose={() => look(null)} /> : null}
    </Stack>
  );
}
