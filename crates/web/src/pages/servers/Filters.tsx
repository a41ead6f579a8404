/** Search, filters and columns above the table. */
import { Button, Checkbox, Group, Menu, Select, TextInput } from '@mantine/core';
import { IconColumns, IconSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import { SEARCH } from '../../shell/shortcuts';
import { chosen, COLUMNS } from './columns';
import { STATES, type useServerFilter } from './query';

type Filtering = ReturnType<typeof useServerFilter>;
const ROLES = ['web', 'was', 'db'];

export function Filters({ filter, change, columns }: Filtering) {
  const { t } = useTranslation();
  const may = useCan('projects:read');
  const projects = useQuery({
    queryKey: keys.projects,
    queryFn: ({ signal }) => ask(api.GET('/api/projects', { signal })),
    enabled: may,
  });
  const roles = ROLES.includes(filter.role) || !filter.role ? ROLES : [...ROLES, filter.role];
  const shown = chosen(columns).map((column) => column.id);
  return (
    <Group gap="xs" align="flex-end">
      <Search value={filter.name} onSearch={(q) => change({ q })} />
      <Select
        size="xs"
        w={130}
        clearable
        aria-label={t('column.status')}
        placeholder={t('column.status')}
        data={STATES.map((value) => ({ value, label: t(`status.server.${value}`) }))}
        value={filter.status || null}
        onChange={(status) => change({ status })}
      />
      <Select
        size="xs"
        w={100}
        clearable
        aria-label={t('column.role')}
        placeholder={t('column.role')}
        data={roles}
        value={filter.role || null}
        onChange={(role) => change({ role })}
      />
      <Select
        size="xs"
        w={130}
        clearable
        aria-label={t('column.project')}
        placeholder={t('column.project')}
        data={(projects.data?.projects ?? []).map((project) => project.name)}
        value={filter.project || null}
        onChange={(project) => change({ project })}
        disabled={!may}
      />
      <Menu closeOnItemClick={false} position="bottom-end" keepMounted={false}>
        <Menu.Target>
          <Button size="xs" variant="default" leftSection={<IconColumns size={14} />} visibleFrom="sm">
            {t('servers.columns')}
          </Button>
        </Menu.Target>
        <Menu.Dropdown mah={400} style={{ overflow: 'auto' }}>
          {COLUMNS.map((column) => (
            <Checkbox
              key={column.id}
              size="xs"
              p={6}
              label={t(`column.${column.id}`)}
              checked={shown.includes(column.id)}
              disabled={column.id === 'name'}
              onChange={(event) => {
                const on = event.currentTarget.checked;
                const next = on ? [...shown, column.id] : shown.filter((id) => id !== column.id);
                change({ cols: next.join(',') });
              }}
            />
          ))}
        </Menu.Dropdown>
      </Menu>
    </Group>
  );
}

const PAUSE_MS = 250;

/** Asks once nothing was typed for a moment. */
function Search({ value, onSearch }: { value: string; onSearch: (text: string) => void }) {
  const { t } = useTranslation();
  const [text, setText] = useState(value);
  const [told, setTold] = useState(value);
  if (told !== value) {
    setTold(value);
    setText(value);
  }
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => onSearch(text), PAUSE_MS);
    return () => clearTimeout(timer);
    // `onSearch` is another function at every drawing and does the same.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [text, value]);
  return (
    <TextInput
      size="xs"
      w={220}
      type="search"
      aria-label={t('servers.search')}
      placeholder={t('servers.search')}
      leftSection={<IconSearch size={14} aria-hidden />}
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
      {...SEARCH}
    />
  );
}
