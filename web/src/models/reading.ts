/**
 * How far a person has read one room: moved forward by what they saw, without leaving anything out, and back when they want
 * to read it again. The server keeps it, and tells their other devices; this is what it will be told, and what it said last.
 */
import { signal } from "@preact/signals";
import { READ_RETRY_MS, READ_SEND_EVERY_MS } from "../limits.ts";
import type { RoomReading } from "../wire.ts";

/** What the server counted: `unread` messages of others stood behind the position when `offset` was the room's last number. */
export type Counted = Pick<RoomReading, "unread" | "mentions" | "offset">;

/** `later`: it could not be told; `never`: it is refused, and would be again. */
export type Told = RoomReading | "later" | "never";

export type ReadingContext = {
  /** The number of the first message of others that stands behind a number; null when there is none, undefined when nobody knows. */
  next: (after: number) => number | null | undefined;
  /** The number of the last event that is here. */
  last: () => number;
  send: (number: number, unread: boolean) => Promise<Told>;
  now: () => number;
  after: (delay: number, task: () => void) => () => void;
};

/** Counts the changes of all positions, so that a list of rooms that was asked for before one of them does not undo it. */
let changes = 0;

export function changesOfReading(): number {
  return changes;
}

export class Reading {
  /** The number of the last event that was read. */
  readonly number;
  readonly counted;
  /** What was seen beyond it. */
  private readonly seen = new Set<number>();
  /** Up to here everything was seen or gone past. */
  private past = 0;
  /** The reader is at the end, as far as this: what lies before the first thing that they see there they went past. */
  private passing: number | null = null;
  /** What is to be read again is so until the room is opened anew. */
  private kept = false;
  private unsent: { number: number; unread: boolean } | null = null;
  private sending: { unread: boolean } | null = null;
  private sentAt = -Infinity;
  private cancelSend: (() => void) | null = null;
  private changedAt = 0;
  private closed = false;

  constructor(
    first: { read?: number; unread?: number; mentions?: number; offset: number },
    private readonly context: ReadingContext,
  ) {
    this.number = signal(first.read ?? first.offset);
    this.counted = signal<Counted>({ unread: first.unread ?? 0, mentions: first.mentions ?? 0, offset: first.offset });
  }

  /** The room is opened: what is seen counts again. */
  open(): void {
    this.kept = false;
    this.seen.clear();
    this.past = 0;
    this.passing = null;
  }

  /** A message was in view for long enough. */
  saw(number: number): void {
    if (this.kept || number <= this.number.peek()) return;
    this.seen.add(number);
    if (this.passing !== null && number <= this.passing) this.past = Math.max(this.past, number - 1);
    this.advance();
  }

  /** The reader went to the end by themselves, and is done with what lies between. */
  pass(): void {
    if (!this.kept) this.passing = this.context.last();
  }

  /**
   * Looked at whenever the list has changed: `watched` while somebody is there and sees its end. Then what comes passes
   * before their eyes, also where it comes too fast for each to be looked at.
   */
  watch(watched: boolean): void {
    const isBehind = this.passing === null && this.context.next(this.number.peek()) !== null;
    this.passing = watched && !this.kept && !isBehind ? this.context.last() : null;
    if (this.seen.size > 0) this.advance();
  }

  /** Everything behind the number is to be read again. */
  back(number: number): void {
    this.open();
    this.kept = true;
    this.move(number);
    this.unsent = { number, unread: true };
    this.send();
  }

  /** The list of rooms says where this stands; asked for when so many changes had been made. */
  listed(info: { read?: number; unread?: number; mentions?: number; offset: number }, askedAt: number): void {
    if (info.read === undefined || this.isPending || this.changedAt > askedAt) return;
    const { read, unread = 0, mentions = 0, offset } = info;
    this.take({ read, unread, mentions, offset });
  }

  /** The server says where this stands, to this device or to all. */
  told(where: Omit<RoomReading, "id">): void {
    if (this.isPending && (this.goesBack || where.read <= this.number.peek())) return;
    this.take(where);
    this.changedAt = ++changes;
  }

  /**
   * Everything is to be read: also what was to be read again and the server has not heard of, or not answered. That it
   * hears of after it.
   */
  all(): void {
    if (!this.goesBack) return;
    const number = Math.max(this.context.last(), this.counted.peek().offset, this.number.peek());
    this.kept = false;
    this.counted.value = { unread: 0, mentions: 0, offset: number };
    this.move(number);
    this.unsent = { number, unread: false };
    this.sendSoon();
  }

  /** Something was deleted, or restored, that the server has counted. */
  recount(by: 1 | -1): void {
    const counted = this.counted.peek();
    this.counted.value = { ...counted, unread: Math.max(0, counted.unread + by) };
  }

  /** The room's numbers start anew. */
  restart(offset: number): void {
    this.open();
    this.unsent = null;
    this.number.value = offset;
    this.counted.value = { unread: 0, mentions: 0, offset };
  }

  /** What is to be told and was not, for somebody who takes it along at the end. */
  takeUnsent(): { number: number; unread: boolean } | null {
    const { unsent } = this;
    this.unsent = null;
    return unsent;
  }

  /** Tells the server now, if there is something to tell. */
  send(): void {
    this.cancelSend?.();
    this.cancelSend = null;
    const { unsent } = this;
    if (!unsent || this.sending || this.closed) return;
    this.unsent = null;
    this.sending = unsent;
    this.sentAt = this.context.now();
    const { number, unread } = unsent;
    void this.context.send(number, unread).then((told) => {
      this.sending = null;
      if (this.closed) return;
      if (told === "later") {
        this.unsent ??= unsent;
        this.cancelSend ??= this.context.after(READ_RETRY_MS, () => this.send());
        return;
      }
      if (told !== "never" && !this.unsent && told.read >= this.number.peek()) this.told(told);
      this.sendSoon();
    });
  }

  close(): void {
    this.closed = true;
    this.cancelSend?.();
  }

  private get isPending(): boolean {
    return this.unsent !== null || this.sending !== null;
  }

  /** Whether the last thing that the server is to be told, or is being told, is that something is to be read again. */
  private get goesBack(): boolean {
    return this.unsent?.unread ?? this.sending?.unread ?? false;
  }

  private take({ read, unread, mentions, offset }: Omit<RoomReading, "id">): void {
    // Somebody wants to read it again: what is in view here does not count until this room is opened again here, too.
    if (read < this.number.peek()) {
      this.open();
      this.kept = true;
    }
    // It was read after all: from here on what is seen counts.
    if (read > this.number.peek()) this.kept = false;
    this.number.value = read;
    this.counted.value = { unread, mentions, offset };
    for (const number of this.seen) if (number <= read) this.seen.delete(number);
  }

  private advance(): void {
    const from = this.number.peek();
    let to = from;
    for (;;) {
      const next = this.context.next(to);
      if (next === null) {
        to = Math.max(to, this.context.last());
        break;
      }
      // What is not here lies before what is: gone past, or not known.
      if (next === undefined && this.past <= to) break;
      const seen = next !== undefined && (next <= this.past || this.seen.has(next));
      if (next !== undefined && !seen) {
        to = Math.max(to, next - 1);
        break;
      }
      to = next ?? this.past;
    }
    if (to <= from) return;
    this.move(to);
    this.unsent = { number: to, unread: this.unsent?.unread ?? false };
    this.sendSoon();
  }

  private move(number: number): void {
    this.number.value = number;
    this.changedAt = ++changes;
    for (const seen of this.seen) if (seen <= number) this.seen.delete(seen);
  }

  private sendSoon(): void {
    if (!this.unsent || this.sending || this.cancelSend || this.closed) return;
    const wait = this.sentAt + READ_SEND_EVERY_MS - this.context.now();
    if (wait <= 0) this.send();
    else this.cancelSend = this.context.after(wait, () => this.send());
  }
}
