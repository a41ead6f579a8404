import { describe, expect, it } from 'vitest';
import { curl, yaml } from './code';

describe('yaml', () => {
  it('writes what a request is made of', () => {
    const body = { servers: [{ name: 'web-01', tags: ['a', 'yes'], cpu: 2, gone: undefined }], network_config: { ip_address: '10.0.0.1' } };
    expect(yaml(body)).toBe(
      'servers:\n  - name: web-01\n    tags:\n      - a\n      - "yes"\n    cpu: 2\nnetwork_config:\n  ip_address: "10.0.0.1"\n',
    );
  });

  it('leaves no text to be something else', () => {
    expect(yaml({ a: '', b: 'null', c: 'x: y', d: [], e: null })).toBe('a: ""\nb: "null"\nc: "x: y"\nd: []\ne: null\n');
  });
});

describe('curl', () => {
  it('holds together whatever the text is', () => {
    expect(curl('POST', '/api/x', { text: "it's" })).toContain(String.raw`"it'\''s"`);
  });
});
