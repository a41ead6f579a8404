/** Asks before something that cannot be taken back; the name of what goes has to be typed. */
import { Button, Group, List, Modal, Stack, Text, TextInput } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { FormFault } from './FormFault';

interface Props {
  opened: boolean;
  onClose: () => void;
  title: string;
  text: ReactNode;
  /** What goes, by name. */
  names?: readonly string[];
  /** What has to be typed; nothing when a press is enough. */
  word?: string;
  action: string;
  danger?: boolean;
  pending: boolean;
  error?: unknown;
  onConfirm: () => void;
  children?: ReactNode;
}

const SHOWN = 12;

export function Confirm(props: Props) {
  const { t } = useTranslation();
  return (
    <Modal
      opened={props.opened}
      onClose={props.onClose}
      title={props.title}
      closeButtonProps={{ 'aria-label': t('action.close') }}
      size="md"
    >
      {props.opened ? <Content {...props} /> : null}
    </Modal>
  );
}

function Content({ text, names = [], word, action, danger = true, pending, error, onConfirm, onClose, children }: Props) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState('');
  const ready = word === undefined || typed.trim() === word;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (ready && !pending) onConfirm();
      }}
    >
      <Stack gap="sm">
        <Text size="sm" component="div">
          {text}
        </Text>
        {names.length > 0 ? (
          <List size="sm" className="mono" mah={200} style={{ overflow: 'auto' }}>
            {names.slice(0, SHOWN).map((name) => (
              <List.Item key={name}>{name}</List.Item>
            ))}
            {names.length > SHOWN ? <List.Item>{t('confirm.more', { count: names.length - SHOWN })}</List.Item> : null}
          </List>
        ) : null}
        {children}
        {word === undefined ? null : (
          <TextInput
            label={t('confirm.type', { word })}
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            autoComplete="off"
            spellCheck={false}
            data-autofocus
          />
        )}
        <FormFault error={error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('action.cancel')}
          </Button>
          <Button type="submit" {...(danger ? { color: 'red' } : {})} disabled={!ready} loading={pending}>
            {action}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
