/** What a secret holds, for half a minute. It is kept nowhere, and reading it is written to the audit. */
import { Modal, Stack, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { call } from '../../api/call';
import type { Schemas } from '../../api/client';
import { CodeBlock } from '../../ui/CodeBlock';
import { FaultAlert, Loading } from '../../ui/states';

const SHOWN_SECONDS = 30;

export function Reveal({ path, onClose }: { path: string; onClose: () => void }) {
  const { t } = useTranslation();
  const [left, setLeft] = useState(SHOWN_SECONDS);
  const { mutate, data, error } = useMutation({
    mutationFn: (at: string) => call<Schemas['Secret']>('GET', `/api/vault/secrets/${at}`),
    gcTime: 0,
  });
  useEffect(() => mutate(path), [mutate, path]);
  const there = data !== undefined;
  useEffect(() => {
    if (!there) return;
    const timer = setInterval(() => setLeft((seconds) => seconds - 1), 1000);
    return () => clearInterval(timer);
  }, [there]);
  useEffect(() => {
    if (left <= 0) onClose();
  }, [left, onClose]);
  return (
    <Modal opened onClose={onClose} title={path} closeButtonProps={{ 'aria-label': t('action.close') }}>
      {error ? <FaultAlert error={error} /> : null}
      {data ? (
        <Stack gap="xs">
          <Text size="sm">{t('secret.left', { count: left })}</Text>
          {Object.entries(data.data).map(([name, value]) => (
            <CodeBlock key={name} label={name} text={typeof value === 'string' ? value : JSON.stringify(value, null, 2)} />
          ))}
        </Stack>
      ) : error ? null : (
        <Loading rows={2} />
      )}
    </Modal>
  );
}
