/**
 * What one room's history looks like from here: a run of events without gaps, and what is known beyond it.
 *
 * Events arrive live, by recovery and by page, in any order and more than once; this merges them by number. An event
 * that does not join the run waits aside until what is missing was read (`gap`). Knows no network and no screen.
 */
import { WAITING_EVENTS_MAX } from "../limits.ts";
import type { Answered, EventsPage, Message, Reacted, Replies, RoomEvent } from "../wire.ts";
import { words } from "./content.ts";
import { reacted, standsIn } from "./reactions.ts";
import { replied, stepOf } from "./replies.ts";

export type Gap = { after: number; upTo: number };

type Seen = {
  message: Message;
  asOf: number;
  /** What was reacted to it as of `reactedAsOf`; null while that is not known. */
  reactions: readonly Reacted[] | null;
  reactedAsOf: number;
  /** What stands in the thread under it as of `repliedAsOf`: null where nothing does, undefined while that is not known. */
  replies: Replies | null | undefined;
  repliedAsOf: number;
};

const NONE: readonly Reacted[] = [];

export class Timeline {
  epoch: string | null = null;
  private run: RoomEvent[] = [];
  /** Number before the run; null while the room's position is unknown. */
  private base: number | null = null;
  private top = 0;
  private readonly waiting = new Map<number, RoomEvent>();
  /** Of the events that wait, those about a reaction, by message and ascending; null when that is to be looked for anew. */
  private reactionsWaiting: Map<string, RoomEvent[]> | null = null;
  private readonly messages = new Map<string, Seen>();
  /** Messages that somebody has before them whether or not the run has them. */
  private readonly pinned = new Set<string>();
  /** Messages whose threads lost or got back an answer: who answered last is to be asked for. */
  private readonly doubted = new Set<string>();
  /** Whether the epoch is the subscription's, which knows best. */
  private followed = false;

  /** `me`: whose reactions are one's own. */
  constructor(private readonly me = "") {}

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

  /** Highest number known to exist. */
  get newest(): number {
    return this.top;
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
    return this.messages.get(event.message.id)?.message ?? event.message;
  }

  /** A message of which something is known here, by its id. */
  find(id: string): Message | null {
    return this.messages.get(id)?.message ?? null;
  }

  /** The number as of which a message is known; what answers a change of it is newer only if nothing came in between. */
  asOf(message: string): number | null {
    return this.messages.get(message)?.asOf ?? null;
  }

  /**
   * The server has answered a change with the message as it is, or will: shown until the event tells of it, unless an event
   * has told of something later than was known when it was asked.
   */
  changed(message: Message, asOf: number | null): void {
    if (asOf === null) return;
    const seen = this.messages.get(message.id);
    if (seen?.asOf === asOf) this.messages.set(message.id, { ...seen, message, asOf });
  }

  /** What was reacted to a message, as far as is known; null while nothing is. */
  reactions(message: string): readonly Reacted[] | null {
    const seen = this.messages.get(message);
    if (!seen || seen.message.deleted) return NONE;
    // What waits is shown and not kept: it is kept in its turn, once it joins.
    return (
      seen.reactions &&
      this.waitingFor(message).reduce((list, { number, reaction, type }) => {
        return reaction && number > seen.reactedAsOf ? reacted(list, reaction, type === "reaction.added", this.me) : list;
      }, seen.reactions)
    );
  }

  /** What stands in the thread under a message, as far as is known; null where nothing does. */
  replies(message: string): Replies | null {
    return this.messages.get(message)?.replies ?? null;
  }

  /** The messages of which is to be asked what stands under them; each is named once. */
  takeDoubted(): string[] {
    const doubted = [...this.doubted];
    this.doubted.clear();
    return doubted;
  }

  /** Keeps messages, whatever becomes of the run: as they were read when the room was at `asOf`, or as they came. */
  pin(messages: readonly Message[], asOf?: number): void {
    for (const message of messages) {
      this.pinned.add(message.id);
      const { number, time } = message;
      if (asOf !== undefined) this.learn({ type: "message.posted", number, time, message }, asOf, true);
    }
  }

  /** Those that nobody has before them any more go with the run. */
  unpin(): void {
    this.pinned.clear();
  }

  /** A message was read by itself, when the events up to `asOf` were here. */
  read(message: Message, asOf: number): void {
    const seen = this.messages.get(message.id);
    if (!seen) return;
    const replies = message.replies ?? null;
    this.messages.set(message.id, { ...seen, reactions: message.reactions ?? NONE, reactedAsOf: asOf, replies, repliedAsOf: asOf });
    this.comeAfter(asOf);
  }

  /** What a message answers, as that is now. */
  answered(answered: Answered): Answered {
    const message = this.find(answered.id);
    if (!message) return answered;
    const { id, number, author } = answered;
    return message.deleted ? { id, number, author, deleted: true } : { id, number, author, text: words(message) };
  }

  /**
   * The subscription stands at `offset`: everything later comes live. Returns true when the room's numbers started
   * anew (it was restored from a backup) and all that was held is gone.
   */
  subscribed(offset: number, epoch: string): boolean {
    const renewed = this.adopt(epoch);
    this.followed ||= epoch !== "";
    this.base ??= offset;
    this.top = Math.max(this.top, offset);
    this.join();
    return renewed;
  }

  /** An event came live or by recovery. Returns false when it was known already. */
  live(event: RoomEvent): boolean {
    const held = this.base !== null && event.number <= this.last;
    const isNew = !held && (event.number > this.top || !this.waiting.has(event.number));
    this.add(event, event.number);
    this.join();
    return isNew;
  }

  /**
   * A page was read. It joins the run at either end, or waits when it touches neither; what is held already is seen
   * anew. `renewed`: the room's numbers started anew. `foreign`: nothing was taken, because the page's numbers are not
   * those of the subscription: it is from before the room was restored from a backup, or the link is from before.
   */
  page(page: EventsPage): "merged" | "renewed" | "foreign" {
    if (this.isForeign(page)) return "foreign";
    const renewed = this.adopt(page.epoch);
    const start = page.events[0];
    const end = page.events.at(-1);
    if (this.base === null) {
      this.base = start ? start.number - 1 : page.offset;
      this.top = Math.max(this.top, page.offset);
    } else if (start && end && start.number <= this.base && end.number >= this.base) {
      const older = page.events.filter((event) => event.number < this.first);
      this.base = start.number - 1;
      this.run = [...older, ...this.run];
    }
    // A page shows a message as it was when the page was read, an event as it was at that number.
    for (const event of page.events) this.add(event, Math.max(page.offset, event.number), true);
    this.join();
    return renewed ? "renewed" : "merged";
  }

  /** Whether the page's numbers are others than the subscription's. */
  isForeign(page: EventsPage): boolean {
    return this.followed && page.epoch !== this.epoch;
  }

  /**
   * Forgets the run, so that the next page begins a new one. What is known to exist stays known, and what came live
   * meanwhile goes on waiting: the page may have been read before it.
   */
  restart(): void {
    this.base = null;
    this.run = [];
    this.messages.clear();
    for (const event of this.waiting.values()) this.learn(event, event.number, false);
  }

  /** Drops the oldest events beyond `count`; they can be read again. */
  keepLast(count: number): void {
    if (this.run.length > count) this.keep(this.last - count + 1, this.last);
  }

  /** Drops what is held outside of these numbers; it can be read again. */
  keep(from: number, to: number): void {
    if (this.base === null) return;
    const start = Math.max(from, this.first);
    const kept = this.run.slice(start - this.first, Math.max(start, to + 1) - this.first);
    this.base = start - 1;
    this.run = kept;
    const ids = new Set([...kept, ...this.waiting.values()].map((event) => event.message?.id));
    for (const id of this.messages.keys()) if (!ids.has(id) && !this.pinned.has(id)) this.messages.delete(id);
  }

  private adopt(epoch: string): boolean {
    const renewed = this.epoch !== null && this.epoch !== "" && epoch !== "" && this.epoch !== epoch;
    if (renewed) {
      this.waiting.clear();
      this.reactionsWaiting = null;
      this.top = 0;
      this.restart();
    }
    if (epoch !== "") this.epoch = epoch;
    return renewed;
  }

  private add(event: RoomEvent, asOf: number, read = false): void {
    this.top = Math.max(this.top, event.number);
    if (this.base !== null && event.number === this.last + 1) {
      this.enter(event);
    } else if (this.base === null || event.number > this.last) {
      const full = this.waiting.size >= WAITING_EVENTS_MAX && !this.waiting.has(event.number);
      if (!full) this.wait(event);
      else if (!this.knows(event)) return;
      else if (event.reaction) this.waitInstead(event);
    } else if (event.number < this.first && !this.knows(event)) {
      return;
    }
    this.learn(event, asOf, read);
  }

  private knows(event: RoomEvent): boolean {
    const id = event.message?.id ?? event.reaction?.message;
    return id !== undefined && this.messages.has(id);
  }

  private wait(event: RoomEvent): void {
    this.waiting.set(event.number, event);
    if (event.reaction) this.reactionsWaiting = null;
  }

  // In the place of one that is read again in its turn and changes nothing that is here.
  private waitInstead(event: RoomEvent): void {
    for (const other of this.waiting.values()) {
      if (other.type !== "message.posted" && this.knows(other)) continue;
      this.waiting.delete(other.number);
      this.wait(event);
      return;
    }
  }

  private waitingFor(message: string): readonly RoomEvent[] {
    if (this.waiting.size === 0) return [];
    if (!this.reactionsWaiting) {
      this.reactionsWaiting = new Map();
      for (const event of [...this.waiting.values()].sort((a, b) => a.number - b.number)) {
        if (!event.reaction || standsIn(event) === null) continue;
        const others = this.reactionsWaiting.get(event.reaction.message);
        if (others) others.push(event);
        else this.reactionsWaiting.set(event.reaction.message, [event]);
      }
    }
    return this.reactionsWaiting.get(message) ?? [];
  }

  private enter(event: RoomEvent): void {
    this.run.push(event);
    this.react(event);
    this.reply(event);
  }

  private comeAfter(asOf: number): void {
    for (let number = Math.max(asOf + 1, this.first); number <= this.last; number++) {
      this.react(this.at(number));
      this.reply(this.at(number));
    }
  }

  // The later view of a message wins, in whatever order they arrive. What was read has its reactions, but for one that was
  // deleted; one that has just come has none, and of one that was only changed they are not known.
  private learn(event: RoomEvent, asOf: number, read: boolean): void {
    const { message } = event;
    if (!message) return;
    const seen = this.messages.get(message.id);
    const reactions = read ? (message.deleted ? null : (message.reactions ?? NONE)) : event.type === "message.posted" ? NONE : null;
    const replies = read ? (message.replies ?? null) : event.type === "message.posted" ? null : undefined;
    if (!seen) {
      this.messages.set(message.id, { message, asOf, reactions, reactedAsOf: asOf, replies, repliedAsOf: asOf });
      this.comeAfter(asOf);
      return;
    }
    const now = seen.asOf <= asOf ? { ...seen, message, asOf } : seen;
    const better = reactions !== null && read && (seen.reactions === null || seen.reactedAsOf <= asOf);
    const fuller = replies !== undefined && read && (seen.replies === undefined || seen.repliedAsOf <= asOf);
    this.messages.set(message.id, {
      ...now,
      ...(better && { reactions, reactedAsOf: asOf }),
      ...(fuller && { replies, repliedAsOf: asOf }),
    });
  }

  // Likewise of the answers in threads.
  private reply(event: RoomEvent | undefined): void {
    const { message, number, type } = event ?? {};
    if (message?.thread === undefined || number === undefined || type === undefined || stepOf(type) === 0) return;
    const seen = this.messages.get(message.thread);
    if (seen?.replies === undefined || number <= seen.repliedAsOf) return;
    this.messages.set(message.thread, { ...seen, replies: replied(seen.replies, type, message), repliedAsOf: number });
    if (type !== "message.posted") this.doubted.add(message.thread);
  }

  // In the order of the run: what came up to the moment in which the message was read is in what was read.
  private react(event: RoomEvent | undefined): void {
    if (!event?.reaction) return;
    const { reaction, number } = event;
    const [seen, stands] = [this.messages.get(reaction.message), standsIn(event)];
    if (!seen?.reactions || stands === null || number <= seen.reactedAsOf) return;
    const reactions = reacted(seen.reactions, reaction, stands, this.me);
    this.messages.set(reaction.message, { ...seen, reactions, reactedAsOf: number });
  }

  private join(): void {
    if (this.base === null) return;
    for (let next = this.waiting.get(this.last + 1); next; next = this.waiting.get(this.last + 1)) {
      this.enter(next);
    }
    for (const [number, event] of this.waiting) {
      if (number > this.last) continue;
      this.waiting.delete(number);
      if (event.reaction) this.reactionsWaiting = null;
    }
  }
}
