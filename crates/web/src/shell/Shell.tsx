/** The frame around every page: navigation, what is live, who one is. */
import { ActionIcon, AppShell, Burger, Button, Group, Indicator, Kbd, Menu, NavLink, ScrollArea, Text, Tooltip } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconBell, IconHelp, IconPlus, IconSearch, IconUser } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Suspense, useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, Outlet, useLocation } from 'react-router';
import { api, ask } from '../api/client';
import { keys } from '../api/keys';
import type { Language } from '../i18n';
import { useSession } from '../session/context';
import { Loading } from '../ui/states';
import { ErrorBoundary } from './ErrorBoundary';
import { HelpDialog } from './HelpDialog';
import { LiveMark } from './LiveMark';
import { PLACES } from './navigation';
import { Palette } from './Palette';
import { useShortcuts } from './shortcuts';
import { LanguageSwitch, ThemeSwitch } from './Switches';

export function Shell() {
  const { t } = useTranslation();
  const { me, can } = useSession();
  const { pathname } = useLocation();
  const [menu, menuAct] = useDisclosure(false);
  const [palette, paletteAct] = useDisclosure(false);
  const [help, helpAct] = useDisclosure(false);
  useShortcuts({ palette: paletteAct.open, help: helpAct.open });
  const unread = useUnread(can('notifications:read'));
  const { close } = menuAct;
  useEffect(close, [pathname, close]);
  return (
    <AppShell header={{ height: 48 }} navbar={{ width: 208, breakpoint: 'sm', collapsed: { mobile: !menu } }} padding="md">
      <a className="skip" href="#content">
        {t('shell.skip')}
      </a>
      <AppShell.Header px="sm">
        <Group h="100%" justify="space-between" wrap="nowrap" gap="xs">
          <Group gap="xs" wrap="nowrap">
            <Burger opened={menu} onClick={menuAct.toggle} hiddenFrom="sm" size="sm" aria-label={t('shell.menu')} />
            <Text component={Link} to="/" fw={700} size="sm" c="inherit" visibleFrom="xs" style={{ textDecoration: 'none' }}>
              Terraform Proxmox Manager
            </Text>
            <LiveMark />
          </Group>
          <Group gap={6} wrap="nowrap">
            <Button
              variant="default"
              size="compact-sm"
              leftSection={<IconSearch size={14} />}
              rightSection={<Kbd size="xs">Ctrl K</Kbd>}
              onClick={paletteAct.open}
              visibleFrom="md"
            >
              {t('shell.palette')}
            </Button>
            <ActionIcon variant="subtle" color="gray" onClick={paletteAct.open} hiddenFrom="md" aria-label={t('shell.palette')}>
              <IconSearch size={18} />
            </ActionIcon>
            {can('servers:write') ? (
              <Button component={Link} to="/servers/new" size="compact-sm" leftSection={<IconPlus size={14} />}>
                {t('nav.create')}
              </Button>
            ) : null}
            <Tooltip label={t('nav.notifications')}>
              <ActionIcon
                component={Link}
                to="/notifications"
                variant="subtle"
                color="gray"
                style={{ overflow: 'visible' }}
                aria-label={t('shell.unread', { count: unread })}
              >
                <Indicator label={unread > 99 ? '99+' : unread} disabled={unread === 0} size={15} color="red" aria-hidden>
                  <IconBell size={18} />
                </Indicator>
              </ActionIcon>
            </Tooltip>
            <ActionIcon variant="subtle" color="gray" onClick={helpAct.open} visibleFrom="xs" aria-label={t('shell.help')}>
              <IconHelp size={18} />
            </ActionIcon>
            <PersonMenu name={me.username} />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label={t('shell.navigation')}>
        <AppShell.Section grow component={ScrollArea}>
          {PLACES.filter((place) => place.needs === null || can(place.needs)).map((place) => (
            <NavLink
              key={place.path}
              component={Link}
              to={place.path}
              label={t(place.name)}
              leftSection={<place.icon size={17} aria-hidden />}
              active={place.path === '/' ? pathname === '/' : pathname.startsWith(place.path)}
              {...(pathname === place.path ? { 'aria-current': 'page' as const } : {})}
              variant="subtle"
              py={6}
            />
          ))}
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1}>
        <ErrorBoundary key={pathname}>
          <Suspense fallback={<Loading />}>
            <Outlet />
          </Suspense>
        </ErrorBoundary>
      </AppShell.Main>
      <Palette opened={palette} onClose={paletteAct.close} />
      <HelpDialog opened={help} onClose={helpAct.close} />
    </AppShell>
  );
}

function PersonMenu({ name }: { name: string }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const remember = (language: Language): void => {
    void ask(api.PATCH('/api/auth/me', { body: { language } }))
      .catch(() => undefined)
      .finally(() => void cache.invalidateQueries());
  };
  const logout = async (): Promise<void> => {
    await ask(api.POST('/api/auth/logout', {})).catch(() => undefined);
    window.location.assign('/');
  };
  return (
    <Menu position="bottom-end" closeOnItemClick={false} keepMounted={false}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={t('shell.person', { name })}>
          <IconUser size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown p="xs">
        <Menu.Item component={Link} to="/account" closeMenuOnClick>
          {name} · {t('nav.account')}
        </Menu.Item>
        <Menu.Divider />
        <Group p={6}>
          <LanguageSwitch onSwitch={remember} />
        </Group>
        <Group p={6}>
          <ThemeSwitch />
        </Group>
        <Menu.Divider />
        <Menu.Item component="a" href="/api/docs" target="_blank" rel="noreferrer">
          {t('shell.apiDocs')}
        </Menu.Item>
        <Menu.Item onClick={logout}>{t('shell.logout')}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function useUnread(enabled: boolean): number {
  const query = useQuery({
    queryKey: [...keys.notifications, 'unread'],
    queryFn: ({ signal }) =>
      ask(api.GET('/api/notifications', { params: { query: { unread: 'true', limit: 1 } }, signal })),
    enabled,
    select: (page) => page.total,
  });
  return query.data ?? 0;
}
