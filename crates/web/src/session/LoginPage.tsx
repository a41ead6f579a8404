/** What is shown to somebody who is not logged in. */
import { Center, Group, Paper, Stack, Text, Title } from '@mantine/core';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';
import { LanguageSwitch, ThemeSwitch } from '../shell/Switches';
import { LoginForm } from './LoginForm';

export function LoginPage({ onLoggedIn }: { onLoggedIn: (user: Schemas['User']) => void }) {
  const { t } = useTranslation();
  const title = t('login.title');
  useEffect(() => {
    document.title = `${title} · Terraform Proxmox Manager`;
  }, [title]);
  return (
    <Center component="main" mih="100vh" p="md">
      <Paper withBorder p="xl" w="100%" maw={380}>
        <Stack>
          <div>
            <Title order={1}>Terraform Proxmox Manager</Title>
            <Text size="sm" c="dimmed">
              {t('login.lead')}
            </Text>
          </div>
          <LoginForm onLoggedIn={onLoggedIn} />
          <Group justify="space-between">
            <LanguageSwitch />
            <ThemeSwitch />
          </Group>
        </Stack>
      </Paper>
    </Center>
  );
}
