/** Roles: names for sets of permissions. */
import { Badge, Button, Group } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useCan } from '../../session/context';
import { Confirm } from '../../ui/Confirm';
import { Card } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';
import { RoleForm } from './RoleForm';

export function Roles() {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const writes = useCan('users:write');
  const [form, setForm] = useState<Schemas['Role'] | 'new' | null>(null);
  const [going, setGoing] = useState<string | null>(null);
  const query = useQuery({ queryKey: keys.roles, queryFn: ({ signal }) => ask(api.GET('/api/roles', { signal })) });
  const remove = useMutation({
    mutationFn: (role: string) => ask(api.DELETE('/api/roles/{role}', { params: { path: { role } }, body: {} })),
    onSuccess: (answer) => {
      setGoing(null);
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.roles });
    },
  });
  return (
    <Card
      title={t('access.roles')}
      actions={
        writes ? (
          <Button size="compact-sm" onClick={() => setForm('new')}>
            {t('access.newRole')}
          </Button>
        ) : null
      }
    >
      <QueryView query={query}>
        {({ roles }) => (
          <Sheet
            label={t('access.roles')}
            empty={t('access.noRoles')}
            heads={[t('column.name'), t('access.permissions'), ...(writes ? [t('list.actions')] : [])]}
            rows={roles.map((role) => ({
              key: role.name,
              cells: [
                `${role.name}${role.built_in ? ` · ${t('access.builtIn')}` : ''}`,
                <Group key="p" gap={4}>
                  {role.permissions.map((permission) => (
                    <Badge key={permission} variant="default" tt="none" fw={400}>
                      {permission}
                    </Badge>
                  ))}
                </Group>,
                ...(writes
                  ? [
                      role.built_in ? (
                        '–'
                      ) : (
                        <Group key="a" gap={6} wrap="nowrap">
                          <Button size="compact-xs" variant="default" onClick={() => setForm(role)}>
                            {t('action.edit')}
                          </Button>
                          <Button
                            size="compact-xs"
                            variant="default"
                            c="var(--tpm-bad)"
                            onClick={() => {
                              remove.reset();
                              setGoing(role.name);
                            }}
                          >
                            {t('action.delete')}
                          </Button>
                        </Group>
                      ),
                    ]
                  : []),
              ],
            }))}
          />
        )}
      </QueryView>
      {form ? <RoleForm role={form === 'new' ? null : form} onClose={() => setForm(null)} /> : null}
      <Confirm
        opened={going !== null}
        onClose={() => setGoing(null)}
        title={t('access.deleteRole', { name: going ?? '' })}
        text={t('access.deleteRoleText')}
        word={going ?? ''}
        action={t('action.delete')}
        pending={remove.isPending}
        error={remove.error}
        onConfirm={() => going && remove.mutate(going)}
      />
    </Card>
  );
}
