import { describe, expect, it } from 'vitest';
import { FrameReader } from './frames';

describe('FrameReader', () => {
  it('puts frames together that arrive in pieces', () => {
    const reader = new FrameReader();
    expect(reader.push('id: 1-2\nevent: ser')).toEqual([]);
    expect(reader.push('ver\ndata: {"id":1}\n')).toEqual([]);
    expect(reader.push('\nid: 1-3\nevent: task\ndata: {}\n\n')).toEqual([
      { id: '1-2', event: 'server', data: '{"id":1}' },
      { id: '1-3', event: 'task', data: '{}' },
    ]);
  });

  it('takes comments as signs of life and no more', () => {
    expect(new FrameReader().push(': alive\n\n')).toEqual([]);
  });

  it('joins lines of data, and reads all ends of lines', () => {
    expect(new FrameReader().push('data: a\r\ndata: b\r\n\r\n')).toEqual([{ id: null, event: 'message', data: 'a\nb' }]);
  });
});
