/** One's own second factor: an authenticator app, and the codes for when it is lost. */
import { Alert, Anchor, Button, Group, Stack, Text, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type SyntheticEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, ask } from '../../api/client';
import { isFault } from '../../api/fault';
import { keys } from '../../api/keys';
import { useSession } from '../../session/context';
import { CodeBlock } from '../../ui/CodeBlock';
import { FormFault } from '../../ui/FormFault';
import { Card } from '../../ui/Page';

export function Factor() {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const { me } = useSession();
  const [code, setCode] = useState('');
  const again = (): void => {
    setCode('');
    void cache.invalidateQueries({ queryKey: keys.me });
    void cache.invalidateQueries({ queryKey: keys.sessions });
  };
  const begin = useMutation({ mutationFn: () => ask(api.POST('/api/auth/factor', { body: {} })) });
  const confirm = useMutation({
    mutationFn: () => ask(api.POST('/api/auth/factor/confirm', { body: { code } })),
    onSuccess: () => {
      begin.reset();
      again();
    },
  });
  const remove = useMutation({
    mutationFn: () => ask(api.POST('/api/auth/factor/remove', { body: { code } })),
    onSuccess: (answer) => {
      confirm.reset();
      notifications.show({ message: answer.message });
      again();
    },
  });
  const asked = me.second_factor ? remove : confirm;
  const wrong = isFault(asked.error) ? asked.error.fields.find((one) => one.field === 'code')?.reason : undefined;
  const send = (event: SyntheticEvent): void => {
    event.preventDefault();
    if (code.trim()) asked.mutate();
  };
  const field = (action: string) => (
    <form onSubmit={send}>
      <Stack gap="xs" maw={380}>
        <TextInput
          label={t('login.code')}
          description={me.second_factor ? t('login.codeHint') : undefined}
          autoComplete="one-time-code"
          value={code}
          error={wrong}
          onChange={(event) => setCode(event.currentTarget.value)}
        />
        <FormFault error={asked.error} />
        <Group>
          <Button type="submit" size="xs" loading={asked.isPending} disabled={!code.trim()}>
            {action}
          </Button>
        </Group>
      </Stack>
    </form>
  );
  return (
    <Card title={t('account.factor')}>
      <Stack gap="sm">
        {confirm.data ? (
          <Alert color="yellow" variant="outline" title={t('account.once')}>
            <Stack gap="xs">
              <Text size="sm">{t('account.recoveryText')}</Text>
              <CodeBlock label={t('account.recovery')} text={confirm.data.recovery_codes.join('\n')} />
            </Stack>
          </Alert>
        ) : null}
        {me.second_factor ? (
          <>
            <Text size="sm">{t('account.factorOn')}</Text>
            {field(t('account.factorRemove'))}
          </>
        ) : begin.data ? (
          <>
            <Text size="sm">
              {t('account.factorApp')} <Anchor href={begin.data.uri}>{t('account.factorOpen')}</Anchor>
            </Text>
            <CodeBlock label={t('account.factorKey')} text={begin.data.secret} />
            {field(t('account.factorConfirm'))}
          </>
        ) : (
          <>
            <Text size="sm">{t('account.factorOff')}</Text>
            <FormFault error={begin.error} />
            <Group>
              <Button size="xs" loading={begin.isPending} onClick={() => begin.mutate()}>
                {t('account.factorBegin')}
              </Button>
            </Group>
          </>
        )}
      </Stack>
    </Card>
  );
}
