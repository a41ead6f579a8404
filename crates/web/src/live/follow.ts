/**
 * Follows `GET /api/events`: comes back to where it stopped, after the connection, the api or the network was gone.
 * It pauses while nobody looks, because a browser has few connections to one host for all of its tabs.
 */
import { currentLanguage } from '../i18n';
import { type Frame, FrameReader } from './frames';

export type LiveState = 'connecting' | 'live' | 'lost' | 'paused' | 'ended';

interface Follower {
  onFrame: (frame: Frame) => void;
  onState: (state: LiveState) => void;
  onSessionEnd: () => void;
}

/** The service gives a sign of life every ten seconds. */
const SILENCE_MS = 25_000;
const HIDDEN_MS = 60_000;

export class Following {
  readonly #follower: Follower;
  #abort: AbortController | null = null;
  #after: string | null = null;
  #failures = 0;
  #timer: number | undefined;
  #hidden: number | undefined;
  #stopped = false;

  constructor(follower: Follower) {
    this.#follower = follower;
    document.addEventListener('visibilitychange', this.#look);
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
    document.removeEventListener('visibilitychange', this.#look);
    window.clearTimeout(this.#timer);
    window.clearTimeout(this.#hidden);
    this.#abort?.abort();
    this.#abort = null;
  }

  readonly #look = (): void => {
    window.clearTimeout(this.#hidden);
    if (document.hidden) {
      this.#hidden = window.setTimeout(() => this.#pause(), HIDDEN_MS);
    } else if (!this.#abort) {
      this.#failures = 0;
      void this.#run();
    }
  };

  #pause(): void {
    this.#abort?.abort();
    this.#abort = null;
    window.clearTimeout(this.#timer);
    this.#follower.onState('paused');
  }

  async #run(): Promise<void> {
    if (this.#stopped || this.#abort) return;
    window.clearTimeout(this.#timer);
    const abort = new AbortController();
    this.#abort = abort;
    const outcome = await this.#read(abort).catch(() => 'lost' as const);
    // Paused or stopped meanwhile.
    if (this.#abort !== abort) return;
    this.#abort = null;
    if (outcome === 'ended') {
      this.#follower.onState('ended');
      this.#follower.onSessionEnd();
      return;
    }
    this.#failures += 1;
    if (this.#failures > 1) this.#follower.onState('lost');
    const wait = Math.min(250 * 2 ** this.#failures, 5000) * (0.75 + Math.random() / 2);
    this.#timer = window.setTimeout(() => void this.#run(), wait);
  }

  async #read(abort: AbortController): Promise<'lost' | 'ended'> {
    const headers: Record<string, string> = { Accept: 'text/event-stream', 'Accept-Language': currentLanguage() };
    if (this.#after) headers['Last-Event-ID'] = this.#after;
    const answer = await fetch('/api/events', { headers, signal: abort.signal, cache: 'no-store' });
    if (answer.status === 401) return 'ended';
    if (answer.status === 400) this.#after = null;
    if (!answer.ok || !answer.body) return 'lost';
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const frames = new FrameReader();
    let watch = window.setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return 'lost';
        window.clearTimeout(watch);
        watch = window.setTimeout(() => abort.abort(), SILENCE_MS);
        for (const frame of frames.push(value)) this.#take(frame);
      }
    } finally {
      window.clearTimeout(watch);
    }
  }

  #take(frame: Frame): void {
    if (frame.id !== null) this.#after = frame.id;
    if (this.#failures > 0 || frame.event === 'open') {
      this.#failures = 0;
      this.#follower.onState('live');
    }
    this.#follower.onFrame(frame);
  }
}
