/** Name and password. Tells why it was refused, and how long to wait after too many attempts. */
import { Alert, Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { zodResolver } from '@hookform/resolvers/zod';
import { useMutation } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { useForm } from 'react-hook-form';
import { useTranslation } from 'react-i18next';
import * as z from 'zod';
import { api, ask, type Schemas } from '../api/client';
import { isFault } from '../api/fault';
import { placeFaults } from '../ui/forms';
import { FormFault } from '../ui/FormFault';

interface Props {
  username?: string;
  onLoggedIn: (user: Schemas['User']) => void;
}

export function LoginForm({ username = '', onLoggedIn }: Props) {
  const { t } = useTranslation();
  // Whether the service asked for a code beside the password.
  const [coded, setCoded] = useState(false);
  const shape = z.object({
    username: z.string().trim().min(1, t('login.usernameNeeded')),
    password: z.string().min(1, t('login.passwordNeeded')),
    code: coded ? z.string().trim().min(1, t('login.codeNeeded')) : z.string(),
  });
  const form = useForm({ resolver: zodResolver(shape), defaultValues: { username, password: '', code: '' } });
  const [waitUntil, setWaitUntil] = useState<number | null>(null);
  const login = useMutation({
    mutationFn: (body: Schemas['Login']) => ask(api.POST('/api/auth/login', { body })),
    onSuccess: (answer) => onLoggedIn(answer.user),
    onError: (error) => {
      placeFaults(error, form.setError, ['username', 'password', 'code']);
      if (isFault(error) && error.code === 'SECOND_FACTOR_NEEDED') setCoded(true);
      if (isFault(error) && error.code === 'TOO_MANY_ATTEMPTS') {
        setWaitUntil(Date.now() + (error.details.retry_after_secs ?? 1) * 1000);
      }
      if (isFault(error) && error.code === 'INVALID_CREDENTIALS') form.resetField(coded ? 'code' : 'password');
    },
  });
  const left = useCountdown(waitUntil);
  const { errors } = form.formState;
  const needed = isFault(login.error) && login.error.code === 'SECOND_FACTOR_NEEDED';
  const refused = isFault(login.error) && login.error.code === 'INVALID_CREDENTIALS';
  const throttled = isFault(login.error) && login.error.code === 'TOO_MANY_ATTEMPTS';
  return (
    <form
      noValidate
      onSubmit={form.handleSubmit(({ code, ...values }) => login.mutate(coded ? { ...values, code: code.trim() } : values))}
    >
      <Stack gap="sm">
        <TextInput
          label={t('login.username')}
          autoComplete="username"
          autoFocus={username === ''}
          error={errors.username?.message}
          {...form.register('username')}
        />
        <PasswordInput
          label={t('login.password')}
          autoComplete="current-password"
          autoFocus={username !== ''}
          error={errors.password?.message}
          visibilityToggleButtonProps={{ 'aria-label': t('login.show') }}
          {...form.register('password')}
        />
        {coded ? (
          <TextInput
            label={t('login.code')}
            description={t('login.codeHint')}
            autoComplete="one-time-code"
            autoFocus
            error={errors.code?.message}
            {...form.register('code')}
          />
        ) : null}
        {refused ? <Alert color="red" variant="outline">{login.error?.message}</Alert> : null}
        {throttled ? (
          <Alert color="yellow" variant="outline">
            {login.error?.message} {left > 0 ? t('login.wait', { count: left }) : t('login.again')}
          </Alert>
        ) : null}
        {refused || throttled || needed ? null : <FormFault error={login.error} />}
        <Button type="submit" loading={login.isPending} disabled={left > 0}>
          {t('login.submit')}
        </Button>
      </Stack>
    </form>
  );
}

function useCountdown(until: number | null): number {
  const [left, setLeft] = useState(0);
  useEffect(() => {
    if (until === null) return;
    const tick = (): void => setLeft(Math.max(0, Math.ceil((until - Date.now()) / 1000)));
    tick();
    const timer = setInterval(tick, 500);
    return () => clearInterval(timer);
  }, [until]);
  return left;
}
