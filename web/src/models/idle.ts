/**
 * Whether somebody works at this page: after some minutes without a key, a pointer or a finger the page says that nobody does,
 * and at the next one that somebody does again. Whoever has several pages is idle when all of them say so, which is for those
 * who look to add up; so a page that is gone, or whose browser died, holds nobody back.
 */
import { IDLE_AFTER_MS, IDLE_RETRY_MS } from "../limits.ts";

export type IdleContext = {
  now: () => number;
  after: (delay: number, task: () => void) => () => void;
  /** Says it to the server: whether that was taken. */
  tell: (idle: boolean) => Promise<boolean>;
};

export class Idle {
  private actedAt: number;
  private told = false;
  private telling = false;
  private cancel: (() => void) | null = null;

  constructor(private readonly context: IdleContext) {
    this.actedAt = context.now();
  }

  close(): void {
    this.cancel?.();
    this.cancel = null;
  }

  /** The person did something. */
  acted(): void {
    this.actedAt = this.context.now();
    if (this.told) void this.tell();
  }

  /** A new connection is taken to be that of somebody who works. */
  connected(): void {
    this.told = false;
    if (!this.cancel) this.watch();
    void this.tell();
  }

  private get idle(): boolean {
    return this.context.now() - this.actedAt >= IDLE_AFTER_MS;
  }

  // Not set anew with each key: it looks how long ago the last one was.
  private watch(): void {
    const left = Math.max(this.actedAt + IDLE_AFTER_MS - this.context.now(), 0);
    this.cancel = this.context.after(left === 0 ? IDLE_AFTER_MS : left, () => {
      void this.tell();
      this.watch();
    });
  }

  private async tell(): Promise<void> {
    const { idle } = this;
    if (this.telling || idle === this.told) return;
    this.telling = true;
    const taken = await this.context.tell(idle);
    this.telling = false;
    if (taken) this.told = idle;
    // Something else by now, or not taken: after a while, so that nothing is said without pause.
    if (this.idle !== this.told) this.context.after(taken ? 0 : IDLE_RETRY_MS, () => void this.tell());
  }
}
