/** What was sent to a channel, and what came of it. */
import { Modal } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { Ago } from '../../ui/Ago';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';
import { Status } from '../../ui/Status';

export function Deliveries({ channel, onClose }: { channel: Schemas['Channel']; onClose: () => void }) {
  const { t } = useTranslation();
  const format = useFormat();
  const query = useQuery({
    queryKey: [...keys.channels, channel.id, 'deliveries'],
    queryFn: ({ signal }) =>
      ask(
        api.GET('/api/notifications/channels/{channel_id}/deliveries', {
          params: { path: { channel_id: channel.id }, query: { limit: 50 } },
          signal,
        }),
      ),
    refetchInterval: 3000,
  });
  return (
    <Modal
      opened
      onClose={onClose}
      size="xl"
      title={t('channel.deliveriesOf', { name: channel.name })}
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <QueryView query={query}>
        {({ deliveries }) => (
          <Sheet
            label={t('channel.deliveries')}
            empty={t('channel.nothingSent')}
            minWidth={640}
            heads={[t('column.created'), t('column.status'), t('task.message'), t('task.attempts'), t('channel.answer'), t('channel.next')]}
            rows={deliveries.map((one) => ({
              key: one.id,
              cells: [
                format.moment(one.created_at),
                <Status key="s" kind="delivery" value={one.status} />,
                one.message,
                one.attempts,
                [one.http_status === null ? '' : `HTTP ${one.http_status}`, one.error ?? ''].filter(Boolean).join(' · ') || '–',
                <Ago key="n" at={one.next_attempt_at} />,
              ],
            }))}
          />
        )}
      </QueryView>
    </Modal>
  );
}
