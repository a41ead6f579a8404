/** A form in a dialog: fields, what the service said, and the buttons. */
import { Button, Group, Modal, Stack } from '@mantine/core';
import type { ReactNode, SubmitEventHandler } from 'react';
import { useTranslation } from 'react-i18next';
import { FormFault } from './FormFault';

interface Props {
  title: string;
  onClose: () => void;
  onSubmit: SubmitEventHandler<HTMLFormElement>;
  pending: boolean;
  error: unknown;
  rest: readonly string[];
  action: string;
  size?: 'md' | 'lg';
  children: ReactNode;
}

export function FormModal({ title, onClose, onSubmit, pending, error, rest, action, size = 'md', children }: Props) {
  const { t } = useTranslation();
  return (
    <Modal opened onClose={onClose} title={title} size={size} closeButtonProps={{ 'aria-label': t('action.close') }}>
      <form noValidate onSubmit={onSubmit}>
        <Stack gap="sm">
          {children}
          <FormFault error={error} rest={rest} />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t('action.cancel')}
            </Button>
            <Button type="submit" loading={pending}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
