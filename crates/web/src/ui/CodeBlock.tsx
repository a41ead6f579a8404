/** Text for a machine, with a button that copies it. */
import { ActionIcon, CopyButton, Group, ScrollArea, Text, Tooltip } from '@mantine/core';
import { IconCheck, IconCopy } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';

export function CodeBlock({ label, text }: { label: string; text: string }) {
  const { t } = useTranslation();
  return (
    <div>
      <Group justify="space-between" gap="xs">
        <Text size="xs" c="dimmed">
          {label}
        </Text>
        <CopyButton value={text}>
          {({ copied, copy }) => (
            <Tooltip label={copied ? t('action.copied') : t('action.copy')}>
              <ActionIcon variant="subtle" color="gray" onClick={copy} aria-label={t('action.copyOf', { what: label })}>
                {copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
              </ActionIcon>
            </Tooltip>
          )}
        </CopyButton>
      </Group>
      <ScrollArea.Autosize mah={320} type="auto" viewportProps={{ tabIndex: 0, role: 'region', 'aria-label': label }}>
        <pre className="log" style={{ maxHeight: 'none' }}>
          {text}
        </pre>
      </ScrollArea.Autosize>
    </div>
  );
}
