/**
 * What one room's history looks like from here: a run of events without gaps, and what is known beyond it.
 *
 * Events arrive live, by recovery and by page, in any order and more than once; this merges them by number. An event
 * that does not join the run waits aside until what is missing was read (`gap`). Knows no network and no screen.
 */
import type { EventsPage, Message, RoomEvent } from "../wire.ts";

export type Gap = { after: number; upTo: number };

type Seen = { message: Message; asOf: number };

export class Timeline {
  epoch: string | null = null;
  private run: RoomEvent[] = [];
  /** Number before the run; null while the room's position is unknown. */
  private base: number | null = null;
  /** Highest number known to exist. */
  private top = 0;
  private readonly waiting = new Map<number, RoomEvent>();
  private readonly messages = new Map<string, Seen>();

  /** The events held, ascending and without gaps. */
  get events(): readonly RoomEvent[] {
    return this.run;
  }

  /** Number of the first event held; one more than `last` while none is. */
  get first(): number {
    return (this.base ?? 0) + 1;
  }

  /** Number of the last event held without a gap before it. */
  get last(): number {
    return (this.base ?? 0) + this.run.length;
  }

  /** Whether the room's position is known, by subscription or by page. */
  get positioned(): boolean {
    return this.base !== null;
  }

  /** Whether the server holds events older than the first one here. */
  get hasOlder(): boolean {
    return this.base !== null && this.base > 0;
  }

  /** What must be read before everything known can be shown; null when nothing is missing. */
  get gap(): Gap | null {
    return this.base !== null && this.top > this.last ? { after: this.last, upTo: this.top } : null;
  }

  at(number: number): RoomEvent | undefined {
    return this.run[number - this.first];
  }

  /** The present state of a message: an edit or a deletion replaces it, whichever event or page told of it. */
  message(event: RoomEvent): Message | undefined {
    if (!event.message) return undefined;
    const present = this.messages.get(event.message.id)?.message;
    return !present || present === event.message ? event.message : { ...event.message, ...present };
  }

  /**
   * The subscription stands at `offset`: everything later comes live. Returns true when the room's numbers started
   * anew (it was restored from a backup) and all that was held is gone.
   */
  subscribed(offset: number, epoch: string): boolean {
    const renewed = this.adopt(epoch);
    this.base ??= offset;
    this.top = Math.max(this.top, offset);
    this.join();
    return renewed;
  }

  /** An event came live or by recovery. Returns false when it was known already. */
  live(event: RoomEvent): boolean {
    this.learn(event, event.number);
    if (this.base !== null && event.number <= this.last) return false;
    const isNew = !this.waiting.has(event.number);
    this.waiting.set(event.number, event);
    this.top = Math.max(this.top, event.number);
    this.join();
    return isNew;
  }

  /**
   * A page was read. It joins the run at either end, or waits when it touches neither. Returns true when the room's
   * numbers started anew.
   */
  page(page: EventsPage): boolean {
    const renewed = this.adopt(page.epoch);
    for (const event of page.events) this.learn(event, Math.max(page.offset, event.number));
    const start = page.events[0];
    const end = page.events.at(-1);
    if (!start || !end) {
      this.base ??= page.offset;
    } else if (this.base === null) {
      this.base = start.number - 1;
      this.run = [...page.events];
      this.top = Math.max(this.top, end.number);
    } else {
      if (start.number <= this.base && end.number >= this.base) {
        const older = page.events.filter((event) => event.number < this.first);
        this.base = start.number - 1;
        this.run = [...older, ...this.run];
      }
      for (const event of page.events) {
        if (event.number <= this.last) continue;
        this.waiting.set(event.number, event);
        this.top = Math.max(this.top, event.number);
      }
    }
    this.join();
    return renewed;
  }

  /** Forgets everything held, so that the next page is the newest one. What is known to exist stays known. */
  restart(): void {
    this.base = null;
    this.run = [];
    this.waiting.clear();
    this.messages.clear();
    this.top = 0;
  }

  /** Drops the oldest events beyond `count`; they can be read again. */
  keepLast(count: number): void {
    if (this.base === null || this.run.length <= count) return;
    const dropped = this.run.splice(0, this.run.length - count);
    this.base += dropped.length;
    for (const event of dropped) if (event.message) this.messages.delete(event.message.id);
  }

  private adopt(epoch: string): boolean {
    const renewed = this.epoch !== null && this.epoch !== "" && epoch !== "" && this.epoch !== epoch;
    if (renewed) this.restart();
    if (epoch !== "") this.epoch = epoch;
    return renewed;
  }

  // A page shows a message as it was when the page was read, an event as it was at that number: the later view wins,
  // in whatever order they arrive.
  private learn(event: RoomEvent, asOf: number): void {
    if (!event.message) return;
    const seen = this.messages.get(event.message.id);
    if (!seen || seen.asOf <= asOf) this.messages.set(event.message.id, { message: event.message, asOf });
  }

  private join(): void {
    if (this.base === null) return;
    for (let next = this.waiting.get(this.last + 1); next; next = this.waiting.get(this.last + 1)) {
      this.run.push(next);
    }
    for (const number of this.waiting.keys()) if (number <= this.last) this.waiting.delete(number);
  }
}
