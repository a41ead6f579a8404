import i18next from 'i18next';
import { describe, expect, it } from 'vitest';
import { BEGIN, formField, serverNames, several, shape, single, type Values } from './values';

function faults(part: Partial<Values>): Record<string, string[]> {
  const result = shape(i18next.t).safeParse({ ...BEGIN, name: 'web', ...part });
  const found: Record<string, string[]> = {};
  for (const issue of result.error?.issues ?? []) (found[issue.path.join('.')] ??= []).push(issue.message);
  return found;
}

describe('values of the form for new servers', () => {
  it('are right with a name alone', () => {
    expect(faults({})).toEqual({});
  });

  it.each([
    ['name', { name: '' }],
    ['name', { name: 'Web_1' }],
    ['name', { name: 'x'.repeat(62), count: 3 }],
    ['count', { count: 0 }],
    ['count', { count: 501 }],
    ['cpu', { cpu: 0 }],
    ['memory', { memory: 1.5 }],
    ['network', { net: 'named' }],
    ['ip_address', { net: 'address', ip_address: '1.2.3' }],
    ['net', { net: 'address', ip_address: '192.168.0.22', count: 2 }],
    ['ip_range', { net: 'range', ip_range: '192.168.0.22' }],
    ['gateway', { gateway: 'gate' }],
    ['tags.0', { tags: ['no spaces'] }],
    ['expires_at', { expires_at: '2020-01-01T00:00' }],
  ] satisfies [string, Partial<Values>][])('tell what is wrong at %s', (field, part) => {
    expect(Object.keys(faults(part))).toEqual([field]);
  });

  it('number several servers', () => {
    expect(serverNames('web', 1)).toEqual(['web']);
    expect(serverNames('web', 3)).toEqual(['web-01', 'web-02', 'web-03']);
    expect(serverNames('web', 100).at(-1)).toBe('web-100');
  });

  it('are sent without what was not chosen', () => {
    expect(single({ ...BEGIN, name: 'web' })).toEqual({ name: 'web', role: 'web', cpu: 2, memory: 4096, disk_size: 50 });
    const many = several({ ...BEGIN, name: 'db', count: 2, net: 'range', ip_range: '10.0.0.1 - 10.0.0.9', node: 'pve2' });
    expect(many.network_config).toEqual({ ip_range: '10.0.0.1-10.0.0.9', subnet: 24 });
    expect(many.servers.map((one) => one.placement)).toEqual([{ node: 'pve2' }, { node: 'pve2' }]);
  });

  it('know the service’s paths', () => {
    expect(formField('servers[3].name')).toBe('name');
    expect(formField('servers[0].network_config.ip_address')).toBe('ip_address');
    expect(formField('network_config[0].gateway')).toBe('gateway');
    expect(formField('placement.node')).toBe('node');
    expect(formField('tags[2]')).toBe('tags');
  });
});
