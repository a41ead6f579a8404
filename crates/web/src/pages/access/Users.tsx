/** People. */
import { Button, Group } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, ask, type Schemas } from '../../api/client';
import { keys } from '../../api/keys';
import { useFormat } from '../../i18n/format';
import { useSession } from '../../session/context';
import { Confirm } from '../../ui/Confirm';
import { Card } from '../../ui/Page';
import { Sheet } from '../../ui/Sheet';
import { QueryView } from '../../ui/states';
import { Pill } from '../../ui/Status';
import { UserForm } from './UserForm';

type User = Schemas['User'];

export function roleText(role: Schemas['UserRole']): string {
  return role.project ? `${role.role} @ ${role.project}` : role.role;
}

export function Users() {
  const { t } = useTranslation();
  const format = useFormat();
  const cache = useQueryClient();
  const { me, can } = useSession();
  const writes = can('users:write');
  const [form, setForm] = useState<User | 'new' | null>(null);
  const [going, setGoing] = useState<User | null>(null);
  const query = useQuery({ queryKey: keys.users, queryFn: ({ signal }) => ask(api.GET('/api/users', { signal })) });
  const remove = useMutation({
    mutationFn: (user: User) => ask(api.DELETE('/api/users/{user_id}', { params: { path: { user_id: user.id } }, body: {} })),
    onSuccess: (answer) => {
      setGoing(null);
      notifications.show({ message: answer.message });
      void cache.invalidateQueries({ queryKey: keys.users });
    },
  });
  return (
    <Card
      title={t('access.users')}
      actions={
        writes ? (
          <Button size="compact-sm" onClick={() => setForm('new')}>
            {t('access.newUser')}
          </Button>
        ) : null
      }
    >
      <QueryView query={query}>
        {({ users }) => (
          <Sheet
            label={t('access.users')}
            empty={t('access.noUsers')}
            minWidth={640}
            heads={[t('login.username'), t('access.roles'), t('column.status'), t('column.created'), ...(writes ? [t('list.actions')] : [])]}
            rows={users.map((user) => ({
              key: user.id,
              cells: [
                user.username,
                user.roles.map(roleText).join(', ') || '–',
                <Pill key="s" tone={user.disabled ? 'idle' : 'good'}>{t(user.disabled ? 'access.disabled' : 'access.enabled')}</Pill>,
                format.moment(user.created_at),
                ...(writes
                  ? [
                      <Group key="a" gap={6} wrap="nowrap">
                        <Button size="compact-xs" variant="default" onClick={() => setForm(user)}>
                          {t('action.edit')}
                        </Button>
                        {user.id === me.id ? null : (
                          <Button
                            size="compact-xs"
                            variant="default"
                            c="var(--tpm-bad)"
                            onClick={() => {
                              remove.reset();
                              setGoing(user);
                            }}
                          >
                            {t('action.delete')}
                          </Button>
                        )}
                      </Group>,
                    ]
                  : []),
              ],
            }))}
          />
        )}
      </QueryView>
      {form ? <UserForm user={form === 'new' ? null : form} onClose={() => setForm(null)} /> : null}
      <Confirm
        opened={going !== null}
        onClose={() => setGoing(null)}
        title={t('access.deleteUser', { name: going?.username ?? '' })}
        text={t('access.deleteUserText')}
        word={going?.username ?? ''}
        action={t('action.delete')}
        pending={remove.isPending}
        error={remove.error}
        onConfirm={() => going && remove.mutate(going)}
      />
    </Card>
  );
}
