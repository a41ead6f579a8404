/** The command palette: pages, actions, and servers by name. */
import { Combobox, Loader, Modal, ScrollArea, TextInput, useCombobox, useMantineColorScheme } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { api, ask } from '../api/client';
import { currentLanguage, switchLanguage } from '../i18n';
import { useSession } from '../session/context';
import { Status } from '../ui/Status';
import { PLACES } from './navigation';

interface Command {
  id: string;
  label: string;
  status?: string;
  run: () => void;
}

export function Palette({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Modal opened={opened} onClose={onClose} title={t('shell.palette')} closeButtonProps={{ 'aria-label': t('action.close') }} padding="xs" yOffset="10vh">
      {opened ? <Content onClose={onClose} /> : null}
    </Modal>
  );
}

function Content({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const { can } = useSession();
  const navigate = useNavigate();
  const { setColorScheme } = useMantineColorScheme();
  const [text, setText] = useState('');
  const [asked] = useDebouncedValue(text.trim().toLowerCase(), 200);
  const combobox = useCombobox({ opened: true });
  const { selectFirstOption } = combobox;
  const servers = useQuery({
    queryKey: ['servers', 'palette', asked],
    queryFn: ({ signal }) => ask(api.GET('/api/servers', { params: { query: { name: asked, limit: 8 } }, signal })),
    enabled: asked.length > 0 && can('servers:read'),
  });
  const go = (path: string) => () => void navigate(path);
  const commands: Command[] = [
    ...PLACES.filter((place) => place.needs === null || can(place.needs)).map((place) => ({
      id: place.path,
      label: t(place.name),
      run: go(place.path),
    })),
    { id: 'account', label: t('nav.account'), run: go('/account') },
    ...(can('servers:write') ? [{ id: 'new', label: t('nav.create'), run: go('/servers/new') }] : []),
    {
      id: 'language',
      label: t('palette.language'),
      run: () => switchLanguage(currentLanguage() === 'ko' ? 'en' : 'ko'),
    },
    { id: 'light', label: t('palette.light'), run: () => setColorScheme('light') },
    { id: 'dark', label: t('palette.dark'), run: () => setColorScheme('dark') },
  ].filter((command) => command.label.toLowerCase().includes(text.trim().toLowerCase()));
  const found: Command[] = (servers.data?.servers ?? []).map((server) => ({
    id: `server-${server.id}`,
    label: server.ip_address ? `${server.name} · ${server.ip_address}` : server.name,
    status: server.status,
    run: go(`/servers/${server.id}`),
  }));
  const all = [...commands, ...found];
  useEffect(() => {
    selectFirstOption();
  }, [all.length, selectFirstOption]);
  return (
    <Combobox
      store={combobox}
      onOptionSubmit={(id) => {
        onClose();
        all.find((command) => command.id === id)?.run();
      }}
    >
      <Combobox.EventsTarget>
        <TextInput
          data-autofocus
          aria-label={t('shell.palette')}
          placeholder={t('palette.placeholder')}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          rightSection={servers.isFetching ? <Loader size="xs" /> : null}
        />
      </Combobox.EventsTarget>
      <ScrollArea.Autosize mah={360} mt="xs">
        <Combobox.Options aria-label={t('shell.palette')}>
          {all.map((command) => (
            <Combobox.Option key={command.id} value={command.id}>
              {command.label} {command.status ? <Status kind="server" value={command.status} /> : null}
            </Combobox.Option>
          ))}
          {all.length === 0 ? <Combobox.Empty>{t('palette.none')}</Combobox.Empty> : null}
        </Combobox.Options>
      </ScrollArea.Autosize>
    </Combobox>
  );
}
