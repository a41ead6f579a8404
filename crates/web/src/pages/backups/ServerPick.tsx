/** Chooses a server by its name: the service is asked while one types. */
import { Select } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, ask } from '../../api/client';

interface Props {
  label: string;
  value: number | null;
  onChange: (id: number | null, name: string) => void;
  error?: string | undefined;
}

export function ServerPick({ label, value, onChange, error }: Props) {
  const { t } = useTranslation();
  const [text, setText] = useState('');
  const [asked] = useDebouncedValue(text.trim(), 200);
  const query = useQuery({
    queryKey: ['servers', 'pick', asked],
    queryFn: ({ signal }) =>
      ask(api.GET('/api/servers', { params: { query: { limit: 50, sort: 'name', ...(asked ? { name: asked } : {}) } }, signal })),
    placeholderData: keepPreviousData,
  });
  const servers = query.data?.servers ?? [];
  return (
    <Select
      label={label}
      withAsterisk
      searchable
      data={servers.map((server) => ({ value: String(server.id), label: server.name }))}
      filter={({ options }) => options}
      nothingFoundMessage={t('servers.noneFound')}
      onSearchChange={(next) => setText(servers.some((server) => server.name === next) ? '' : next)}
      value={value === null ? null : String(value)}
      onChange={(next) => {
        const server = servers.find((one) => String(one.id) === next);
        onChange(server?.id ?? null, server?.name ?? '');
      }}
      error={error}
    />
  );
}
