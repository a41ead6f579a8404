/** A page that broke takes nothing else with it. */
import { Alert, Button, Code, Stack } from '@mantine/core';
import { Component, type ReactNode } from 'react';
import i18next from '../i18n';

export class ErrorBoundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: unknown): { error: Error } {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <Alert color="red" variant="outline" title={i18next.t('state.broken')}>
        <Stack align="flex-start" gap="xs">
          <Code>{error.message}</Code>
          <Button size="xs" variant="default" onClick={() => window.location.reload()}>
            {i18next.t('action.reload')}
          </Button>
        </Stack>
      </Alert>
    );
  }
}
