/** Colours and sizes. Shades are chosen for a contrast of 4.5 : 1 at least. */
import { createTheme, type CSSVariablesResolver, Notification, Table, Tooltip } from '@mantine/core';
import i18next from '../i18n';

/** In the language of the moment it is asked for. */
const close = {
  get 'aria-label'(): string {
    return i18next.t('action.close');
  },
};

export const theme = createTheme({
  primaryColor: 'blue',
  primaryShade: { light: 8, dark: 8 },
  defaultRadius: 'sm',
  fontFamily:
    'Pretendard, "Noto Sans KR", "Noto Sans CJK KR", "Apple SD Gothic Neo", "Malgun Gothic", system-ui, sans-serif',
  fontFamilyMonospace: 'ui-monospace, "D2Coding", "Noto Sans Mono CJK KR", "DejaVu Sans Mono", monospace',
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.875rem', lg: '1rem', xl: '1.125rem' },
  headings: { sizes: { h1: { fontSize: '1.25rem' }, h2: { fontSize: '1rem' }, h3: { fontSize: '0.875rem' } } },
  components: {
    Notification: Notification.extend({ defaultProps: { closeButtonProps: close } }),
    Table: Table.extend({ defaultProps: { verticalSpacing: 6, horizontalSpacing: 'sm', fz: 'sm' } }),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 300, events: { hover: true, focus: true, touch: true } } }),
  },
});

export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#4f5760',
    '--mantine-color-error': '#c92a2a',
    '--mantine-color-anchor': '#1864ab',
    '--mantine-color-placeholder': '#6b737b',
    '--tpm-page': '#f6f7f9',
    '--tpm-card': '#ffffff',
    '--tpm-line': '#d9dee3',
    '--tpm-good': '#20702f',
    '--tpm-warn': '#a85b00',
    '--tpm-bad': '#c92a2a',
    '--tpm-busy': '#1864ab',
    '--tpm-idle': '#5c6570',
  },
  dark: {
    '--mantine-color-dimmed': '#adb3ba',
    '--mantine-color-error': '#ff8787',
    '--mantine-color-anchor': '#74c0fc',
    '--mantine-color-placeholder': '#959ba3',
    '--mantine-color-body': '#1c1f23',
    '--tpm-page': '#15171a',
    '--tpm-card': '#1c1f23',
    '--tpm-line': '#363b42',
    '--tpm-good': '#69db7c',
    '--tpm-warn': '#ffc078',
    '--tpm-bad': '#ff8787',
    '--tpm-busy': '#74c0fc',
    '--tpm-idle': '#adb3ba',
  },
});
