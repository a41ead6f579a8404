/** One's own keys for programs. A key's text is shown once, when it is made. */
import { Alert, Button, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { Ago } from '../../ui/Ago';
import { CodeBlock } from '../../ui/CodeBlock';
import { Confirm } from '../../ui/Confirm';
import { Card } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';
import { KeyForm } from './KeyForm';

export function ApiKeys() {
  const { t } = useTranslation();
  const format = useFormat();
  const cache = useQueryClient();
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<Schemas['KeyMade'] | null>(null);
  const [going, setGoing] = useState<Schemas['Key'] | null>(null);
  const query = useQuery({ queryKey: keys.apiKeys, queryFn: ({ signal }) => ask(api.GET('/api/auth/keys', { signal })) });
  const remove = useMutation({
    mutationFn: (key: Schemas['Key']) =>
      ask(api.DELETE('/api/auth/keys/{key_id}', { params: { path: { key_id: key.id } }, body: {} })),
    onSuccess: (answer) => {
      setGoing(null);
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.apiKeys });
    },
  });
  return (
    <Card
      title={t('account.keys')}
      actions={
        <Button size="compact-sm" onClick={() => setMaking(true)}>
          {t('account.newKey')}
        </Button>
      }
    >
      {made ? (
        <Alert color="yellow" variant="outline" title={t('account.once')} withCloseButton onClose={() => setMade(null)} closeButtonLabel={t('action.close')} mb="sm">
          <Stack gap="xs">
            <Text size="sm">{t('account.onceText', { until: format.moment(made.expires_at) })}</Text>
            <CodeBlock label={t('account.key')} text={made.key} />
          </Stack>
        </Alert>
      ) : null}
      <QueryView query={query}>
        {(page) => (
          <Sheet
            label={t('account.keys')}
            empty={t('account.noKeys')}
            minWidth={760}
            heads={[t('column.name'), t('account.prefix'), t('account.scopes'), t('account.networks'), t('account.until'), t('account.used'), t('list.actions')]}
            rows={page.keys.map((key) => ({
              key: key.id,
              cells: [
                key.name,
                <span key="p" className="mono">{`${key.prefix}…`}</span>,
                key.scopes.join(', '),
                key.networks.join(', ') || t('account.anywhere'),
                format.moment(key.expires_at),
                key.last_used_at ? <span key="u"><Ago at={key.last_used_at} /> · {key.last_address}</span> : t('account.never'),
                <Button
                  key="d"
                  size="compact-xs"
                  variant="default"
                  c="var(--tpm-bad)"
                  onClick={() => {
                    remove.reset();
                    setGoing(key);
                  }}
                >
                  {t('action.delete')}
                </Button>,
              ],
            }))}
          />
        )}
      </QueryView>
      {making ? <KeyForm onClose={() => setMaking(false)} onMade={setMade} /> : null}
      <Confirm
        opened={going !== null}
        onClose={() => setGoing(null)}
        title={t('account.deleteKey', { name: going?.name ?? '' })}
        text={t('account.deleteKeyText')}
        action={t('action.delete')}
        pending={remove.isPending}
        error={remove.error}
        onConfirm={() => going && remove.mutate(going)}
      />
    </Card>
  );
}
