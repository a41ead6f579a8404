import { describe, expect, it } from 'vitest';
import type { ListedServer } from './columns';
import { csv } from './export';

describe('csv', () => {
  it('quotes, and lets nothing be computed', () => {
    const server = { id: 1, name: '=evil()', status: 'running', role: 'a,"b"', tags: null } as unknown as ListedServer;
    const [head, line] = csv([server]).split('\r\n');
    expect(head?.startsWith('\uFEFFname,status')).toBe(true);
    expect(line?.startsWith(`'=evil(),running,,"a,""b"""`)).toBe(true);
  });
});
