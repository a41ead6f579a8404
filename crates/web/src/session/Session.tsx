/** Who is logged in. When the session ends, the page stays as it is, and the login is laid over it. */
import { Center, Modal, Stack, Text } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { type ReactNode, useCallback, useEffect, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, ask, type Ending, onSessionEnd, type Schemas } from '../api/client';
import { isFault } from '../api/fault';
import { keys } from '../api/keys';
import { switchLanguage } from '../i18n';
import { LiveProvider } from '../live/LiveProvider';
import { FaultAlert, Loading } from '../ui/states';
import { type Permission, SessionContext } from './context';
import { LoginForm } from './LoginForm';
import { may } from './may';
import { LoginPage } from './LoginPage';

/** How long what was entered waits for somebody to log in again, in milliseconds. */
export const FORGET_AFTER = 5 * 60_000;

export function SessionGate({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [ended, setEnded] = useState<Ending | null>(null);
  const [resume, setResume] = useState(0);
  const me = useQuery({
    queryKey: keys.me,
    queryFn: ({ signal }) => ask(api.GET('/api/auth/me', { signal })),
    staleTime: 60_000,
    // Whoever opened the page while the service was away waits for it.
    refetchInterval: ({ state }) => (state.status === 'error' && !(isFault(state.error) && state.error.status === 401) ? 3000 : false),
  });
  useEffect(() => onSessionEnd((why) => setEnded((before) => (before === 'ended' ? before : why))), []);
  // Whoever left does not leave what was shown to whoever comes by.
  const [forgotten, setForgotten] = useState(false);
  useEffect(() => {
    if (ended !== 'ended') return;
    const timer = setTimeout(() => {
      cache.clear();
      setForgotten(true);
    }, FORGET_AFTER);
    return () => clearTimeout(timer);
  }, [cache, ended]);
  const who = me.data;
  const cameIn = useCallback(
    (user: Schemas['User']) => {
      if (who && who.id !== user.id) {
        // Somebody else: nothing of what the other one saw may stay.
        window.location.reload();
        return;
      }
      if (!who && user.language) switchLanguage(user.language);
      setEnded(null);
      setResume((n) => n + 1);
      void cache.invalidateQueries();
    },
    [cache, who],
  );
  const session = useMemo(
    () => who && { me: who, can: (permission: Permission) => may(who, permission) },
    [who],
  );
  if (forgotten) return <LoginPage onLoggedIn={() => window.location.reload()} />;
  if (!session) {
    if (me.isError && isFault(me.error) && me.error.status === 401) return <LoginPage onLoggedIn={cameIn} />;
    return (
      <Center component="main" mih="100vh" p="md">
        <Stack w="100%" maw={420}>
          {me.isError ? <FaultAlert error={me.error} retry={() => void me.refetch()} /> : <Loading rows={3} />}
        </Stack>
      </Center>
    );
  }
  return (
    <SessionContext value={session}>
      <LiveProvider resume={resume}>{children}</LiveProvider>
      <Modal
        opened={ended !== null}
        onClose={() => setEnded((why) => (why === 'old' ? null : why))}
        withCloseButton={ended === 'old'}
        closeButtonProps={{ 'aria-label': t('action.close') }}
        closeOnEscape={ended === 'old'}
        closeOnClickOutside={false}
        title={t(ended === 'old' ? 'session.fresh' : 'session.ended')}
        centered
        zIndex={1000}
      >
        <Stack gap="sm">
          <Text size="sm">{t(ended === 'old' ? 'session.freshText' : 'session.endedText')}</Text>
          <LoginForm username={session.me.username} onLoggedIn={cameIn} />
        </Stack>
      </Modal>
    </SessionContext>
  );
}
