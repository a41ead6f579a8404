/** Chooses servers by their names: the service is asked while one types. */
import { MultiSelect } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { type Ref, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, ask } from '../../api/client';
import { useServerNames } from './serverNames';

interface Props {
  label: string;
  value: readonly number[];
  onChange: (ids: number[]) => void;
  error?: string | undefined;
  ref?: Ref<HTMLInputElement>;
}

export function ServersPick({ label, value, onChange, error, ref }: Props) {
  const { t } = useTranslation();
  const [text, setText] = useState('');
  const [asked] = useDebouncedValue(text.trim(), 200);
  const names = useServerNames(value);
  const query = useQuery({
    queryKey: ['servers', 'pick', asked],
    queryFn: ({ signal }) =>
      ask(api.GET('/api/servers', { params: { query: { limit: 50, sort: 'name', ...(asked ? { name: asked } : {}) } }, signal })),
    placeholderData: keepPreviousData,
  });
  const found = query.data?.servers ?? [];
  // What is chosen keeps its name, whatever is being looked for.
  const known = new Map([
    ...value.map((id) => [id, names.get(id) ?? `#${id}`] as const),
    ...found.map((server) => [server.id, server.name] as const),
  ]);
  return (
    <MultiSelect
      {...(ref ? { ref } : {})}
      label={label}
      withAsterisk
      searchable
      data={[...known].map(([id, name]) => ({ value: String(id), label: name }))}
      filter={({ options }) => options}
      nothingFoundMessage={t('servers.noneFound')}
      searchValue={text}
      onSearchChange={setText}
      value={value.map(String)}
      onChange={(next) => onChange(next.map(Number))}
      error={error}
    />
  );
}
