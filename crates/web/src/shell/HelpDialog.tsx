/** The keys. */
import { Group, Kbd, Modal, Stack, Table, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { PLACES } from './navigation';

export function HelpDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const rows: [string[], string][] = [
    [['/'], t('help.search')],
    [['?'], t('help.help')],
    [['Ctrl', 'K'], t('help.palette')],
    [['Esc'], t('help.close')],
    ...PLACES.map((place): [string[], string] => [['g', place.letter], t('help.go', { place: t(place.name) })]),
  ];
  return (
    <Modal opened={opened} onClose={onClose} title={t('help.title')} closeButtonProps={{ 'aria-label': t('action.close') }}>
      <Stack gap="xs">
        <Text size="sm">{t('help.lead')}</Text>
        <Table>
          <Table.Tbody>
            {rows.map(([pressed, what]) => (
              <Table.Tr key={what}>
                <Table.Td>
                  <Group gap={4}>
                    {pressed.map((key) => (
                      <Kbd key={key}>{key}</Kbd>
                    ))}
                  </Group>
                </Table.Td>
                <Table.Td>{what}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Stack>
    </Modal>
  );
}
