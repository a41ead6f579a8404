import { QueryClient } from '@tanstack/react-query';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { keys } from '../api/keys';
import { Applier } from './apply';

function frame(event: string, data: object) {
  return { id: '1', event, data: JSON.stringify(data) };
}

describe('Applier', () => {
  let cache: QueryClient;
  let applier: Applier;
  beforeEach(() => {
    vi.useFakeTimers();
    cache = new QueryClient();
    applier = new Applier(cache);
  });

  it('writes a server into the pages and the server’s own page, and asks for the rest once', () => {
    const page = keys.serverPage({}, 0);
    cache.setQueryData(page, { servers: [{ id: 1, status: 'running' }, { id: 2, status: 'running' }], total: 2 });
    cache.setQueryData(keys.server(1), { id: 1, status: 'running', readiness: [] });
    const asked = vi.spyOn(cache, 'invalidateQueries');
    applier.apply(frame('server', { id: 1, status: 'missing' }));
    applier.apply(frame('server', { id: 1, status: 'missing' }));
    expect(cache.getQueryData(page)).toEqual({
      servers: [{ id: 1, status: 'missing' }, { id: 2, status: 'running' }],
      total: 2,
    });
    expect(cache.getQueryData(keys.server(1))).toEqual({ id: 1, status: 'missing', readiness: [] });
    vi.runAllTimers();
    expect(asked.mock.calls.map(([filter]) => filter?.queryKey)).toEqual([keys.servers, keys.server(1)]);
  });

  it('writes a task into its bulk', () => {
    cache.setQueryData(keys.task('bulk'), { task_id: 'bulk', children: [{ task_id: 'one', progress: 0 }] });
    applier.apply(frame('task', { task_id: 'one', progress: 40 }));
    expect(cache.getQueryData(keys.task('bulk'))).toEqual({
      task_id: 'bulk',
      children: [{ task_id: 'one', progress: 40 }],
    });
  });

  it('looks at everything anew when something was missed, and at the first opening', () => {
    const asked = vi.spyOn(cache, 'invalidateQueries');
    applier.apply(frame('open', {}));
    applier.apply(frame('open', {}));
    expect(asked).toHaveBeenCalledTimes(1);
    applier.apply(frame('resync', {}));
    expect(asked).toHaveBeenCalledTimes(2);
  });

  it('gives a notification back', () => {
    expect(applier.apply(frame('notification', { id: 7, type: 'error' }))).toEqual({ id: 7, type: 'error' });
  });

  it('lets be what it does not know', () => {
    expect(applier.apply(frame('something_new', {}))).toBeNull();
  });
});
