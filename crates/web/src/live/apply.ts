/** Writes live events into what the page has already been told. */
import type { QueryClient, QueryKey } from '@tanstack/react-query';
import type { Schemas } from '../api/client';
import { keys } from '../api/keys';
import type { Frame } from './frames';

type ListedServer = Schemas['ServerInList'];
type ListedTask = Schemas['TaskInList'];

const GATHER_MS = 700;

export class Applier {
  readonly #cache: QueryClient;
  readonly #due = new Map<string, QueryKey>();
  #timer: number | undefined;
  #opened = false;

  constructor(cache: QueryClient) {
    this.#cache = cache;
  }

  /** Comes back with the notification, when it was one that is new. */
  apply(frame: Frame): Schemas['Notification'] | null {
    const data: unknown = JSON.parse(frame.data);
    switch (frame.event) {
      case 'open':
        // Between what was read first and the first event lies a gap; later ones are closed by the service.
        if (!this.#opened) void this.#cache.invalidateQueries();
        this.#opened = true;
        return null;
      case 'resync':
        void this.#cache.invalidateQueries();
        return null;
      case 'server':
        this.#server(data as ListedServer);
        return null;
      case 'server_deleted':
        this.#later(keys.servers);
        this.#later(keys.server((data as { id: number }).id));
        return null;
      case 'task':
        this.#task(data as ListedTask);
        return null;
      case 'notification':
        this.#later(keys.notifications);
        // What is told of is seldom told of alone.
        this.#later(keys.alerts);
        return data as Schemas['Notification'];
      default:
        return null;
    }
  }

  #server(server: ListedServer): void {
    this.#cache.setQueriesData<Schemas['ServerList']>({ queryKey: ['servers', 'page'] }, (page) => {
      if (!page?.servers.some((one) => one.id === server.id)) return page;
      return { ...page, servers: page.servers.map((one) => (one.id === server.id ? server : one)) };
    });
    this.#cache.setQueryData<Schemas['Server']>(keys.server(server.id), (old) => old && { ...old, ...server });
    this.#later(keys.servers);
    this.#later(keys.server(server.id));
  }

  #task(task: ListedTask): void {
    const put = (one: ListedTask): ListedTask => (one.task_id === task.task_id ? task : one);
    this.#cache.setQueriesData<Schemas['TaskList']>({ queryKey: keys.tasks }, (page) =>
      page?.tasks ? { ...page, tasks: page.tasks.map(put) } : page,
    );
    this.#cache.setQueriesData<Schemas['Task']>({ queryKey: ['task'] }, (old) => {
      if (!old?.task_id) return old;
      if (old.task_id === task.task_id) return { ...old, ...task };
      return old.children?.some((child) => child.task_id === task.task_id)
        ? { ...old, children: old.children.map(put) }
        : old;
    });
    if (/backup|restore/.test(task.kind)) this.#later(keys.backups);
    this.#later(keys.tasks);
    this.#later(keys.task(task.task_id));
  }

  /** Many events in a moment are one question. */
  #later(key: QueryKey): void {
    this.#due.set(JSON.stringify(key), key);
    this.#timer ??= window.setTimeout(() => {
      this.#timer = undefined;
      const due = [...this.#due.values()];
      this.#due.clear();
      for (const queryKey of due) void this.#cache.invalidateQueries({ queryKey });
    }, GATHER_MS);
  }

  stop(): void {
    window.clearTimeout(this.#timer);
  }
}
