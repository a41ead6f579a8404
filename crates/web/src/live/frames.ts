/** Server-sent events out of bytes, as they arrive in pieces. */

export interface Frame {
  id: string | null;
  event: string;
  data: string;
}

/** Takes pieces of text and gives back the frames that are whole. Comments are signs of life and no frames. */
export class FrameReader {
  #rest = '';

  push(text: string): Frame[] {
    const parts = (this.#rest + text).replace(/\r\n?/g, '\n').split('\n\n');
    this.#rest = parts.pop() ?? '';
    return parts.map(read).filter((frame) => frame !== null);
  }
}

function read(block: string): Frame | null {
  const frame: Frame = { id: null, event: 'message', data: '' };
  let told = false;
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const field = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, '');
    if (field === 'id') frame.id = value;
    else if (field === 'event') frame.event = value;
    else if (field === 'data') frame.data += frame.data === '' ? value : `\n${value}`;
    else continue;
    told = true;
  }
  return told ? frame : null;
}
