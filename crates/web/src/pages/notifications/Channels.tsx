/** Where else notifications are told: URLs that they are posted to, signed. */
import { Alert, Button, Group, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import { Ago } from '../../ui/Ago';
import { CodeBlock } from '../../ui/CodeBlock';
import { Confirm } from '../../ui/Confirm';
import { Card } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { FaultAlert, QueryView } from '../../ui/states';
import { Pill } from '../../ui/Status';
import { ChannelForm } from './ChannelForm';
import { Deliveries } from './Deliveries';

type Channel = Schemas['Channel'];
type Asking = { channel: Channel; act: 'delete' | 'rotate' };

export function Channels() {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const writes = useCan('channels:write');
  const [form, setForm] = useState<Channel | 'new' | null>(null);
  const [asking, setAsking] = useState<Asking | null>(null);
  const [looking, setLooking] = useState<Channel | null>(null);
  const [made, setMade] = useState<string | null>(null);
  const query = useQuery({
    queryKey: keys.channels,
    queryFn: ({ signal }) => ask(api.GET('/api/notifications/channels', { signal })),
    refetchInterval: 15_000,
  });
  const again = (): void => void cache.invalidateQueries({ queryKey: keys.channels });
  const test = useMutation({
    mutationFn: (channel: Channel) =>
      ask(
        api.POST('/api/notifications/channels/{channel_id}/test', { params: { path: { channel_id: channel.id } }, body: {} }),
      ),
    onSuccess: (answer, channel) => {
      notifications.show({ message: answer.message });
      setLooking(channel);
      again();
    },
  });
  const run = useMutation({
    mutationFn: async ({ channel, act }: Asking): Promise<{ message: string; signing_key?: string }> => {
      const params = { path: { channel_id: channel.id } };
      if (act === 'delete') return ask(api.DELETE('/api/notifications/channels/{channel_id}', { params, body: {} }));
      return ask(api.POST('/api/notifications/channels/{channel_id}/rotate', { params, body: {} }));
    },
    onSuccess: (answer) => {
      setAsking(null);
      notifications.show({ message: answer.message });
      if (answer.signing_key) setMade(answer.signing_key);
      again();
    },
  });
  const open = (channel: Channel, act: Asking['act']): void => {
    run.reset();
    setAsking({ channel, act });
  };
  return (
    <Card
      title={t('channel.title')}
      actions={
        writes ? (
          <Button size="compact-sm" onClick={() => setForm('new')}>
            {t('channel.new')}
          </Button>
        ) : null
      }
    >
      {made ? (
        <Alert color="yellow" variant="outline" title={t('account.once')} withCloseButton onClose={() => setMade(null)} closeButtonLabel={t('action.close')} mb="sm">
          <Stack gap="xs">
            <Text size="sm">{t('channel.keyText')}</Text>
            <CodeBlock label={t('channel.key')} text={made} />
          </Stack>
        </Alert>
      ) : null}
      {test.isError ? <FaultAlert error={test.error} /> : null}
      <QueryView query={query}>
        {({ channels }) => (
          <Sheet
            label={t('channel.title')}
            empty={t('channel.none')}
            minWidth={860}
            heads={[t('column.name'), 'URL', t('channel.types'), t('column.status'), t('channel.taken'), t('list.actions')]}
            rows={channels.map((channel) => ({
              key: channel.id,
              cells: [
                channel.name,
                <span key="u" className="mono">{channel.url}</span>,
                channel.types.map((type) => t(`status.word.${type}`)).join(', '),
                <div key="s">
                  <Pill tone={channel.enabled ? (channel.dead > 0 ? 'warn' : 'good') : 'idle'}>
                    {t(channel.enabled ? 'channel.on' : 'channel.off')}
                  </Pill>
                  {channel.pending + channel.dead > 0 ? (
                    <Text size="xs">{t('channel.counts', { pending: channel.pending, dead: channel.dead })}</Text>
                  ) : null}
                </div>,
                <Ago key="a" at={channel.delivered_at} />,
                <Group key="b" gap={6}>
                  <Button size="compact-xs" variant="default" onClick={() => setLooking(channel)}>
                    {t('channel.deliveries')}
                  </Button>
                  {writes ? (
                    <>
                      <Button
                        size="compact-xs"
                        variant="default"
                        loading={test.isPending && test.variables.id === channel.id}
                        onClick={() => test.mutate(channel)}
                      >
                        {t('channel.test')}
                      </Button>
                      <Button size="compact-xs" variant="default" onClick={() => setForm(channel)}>
                        {t('action.edit')}
                      </Button>
                      <Button size="compact-xs" variant="default" onClick={() => open(channel, 'rotate')}>
                        {t('channel.rotate')}
                      </Button>
                      <Button size="compact-xs" variant="default" c="var(--tpm-bad)" onClick={() => open(channel, 'delete')}>
                        {t('action.delete')}
                      </Button>
                    </>
                  ) : null}
                </Group>,
              ],
            }))}
          />
        )}
      </QueryView>
      {form ? (
        <ChannelForm channel={form === 'new' ? null : form} onClose={() => setForm(null)} onMade={setMade} />
      ) : null}
      {looking ? <Deliveries channel={looking} onClose={() => setLooking(null)} /> : null}
      <Confirm
        opened={asking !== null}
        onClose={() => setAsking(null)}
        title={asking ? t(`channel.${asking.act}Of`, { name: asking.channel.name }) : ''}
        text={asking ? t(`channel.${asking.act}Text`) : ''}
        {...(asking?.act === 'delete' ? { word: asking.channel.name } : {})}
        danger={asking?.act === 'delete'}
        action={asking?.act === 'delete' ? t('action.delete') : t('channel.rotate')}
        pending={run.isPending}
        error={run.error}
        onConfirm={() => asking && run.mutate(asking)}
      />
    </Card>
  );
}
