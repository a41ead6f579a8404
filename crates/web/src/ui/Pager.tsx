/** Pages of a list that the service gives in parts. The place stands in the URL. */
import { Group, Pagination, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { useFormat } from '../i18n/format';

export function usePage(size: number) {
  const [params, setParams] = useSearchParams();
  const page = Math.max(1, Number(params.get('page')) || 1);
  const go = (next: number): void =>
    setParams((old) => {
      const params = new URLSearchParams(old);
      if (next === 1) params.delete('page');
      else params.set('page', String(next));
      return params;
    });
  return { page, go, limit: size, offset: (page - 1) * size };
}

export function Pager({ total, size, page, go }: { total: number; size: number; page: number; go: (n: number) => void }) {
  const { t } = useTranslation();
  const format = useFormat();
  const pages = Math.max(1, Math.ceil(total / size));
  return (
    <Group justify="space-between" mt="sm">
      <Text size="sm" c="dimmed">
        {t('list.total', { count: total, number: format.number(total) })}
      </Text>
      {pages > 1 ? (
        <Pagination
          size="sm"
          total={pages}
          value={Math.min(page, pages)}
          onChange={go}
          getControlProps={(control) => ({ 'aria-label': t(`list.${control}`) })}
        />
      ) : null}
    </Group>
  );
}
