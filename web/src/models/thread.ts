/**
 * One thread that is open: its answers as far as they were read, what is new in it, and what is written there.
 *
 * Its answers are messages of the room and come with the room's events; what they say, and what was reacted to them, the room's
 * timeline knows. What the room does not read, because it was away for long, is read here.
 */
import { batch, computed, signal, type ReadonlySignal } from "@preact/signals";
import { ApiError, type Api } from "../api.ts";
import { THREAD_PAGE_MESSAGES } from "../limits.ts";
import type { Live } from "../live.ts";
import type { Answered, Message, PersonRef, RoomEvent, ThreadPage, ThreadReading } from "../wire.ts";
import type { Changes } from "./changes.ts";
import type { Mention, Written } from "./mentions.ts";
import { resendDelay } from "./outbox.ts";
import { Reading, changesOfReading } from "./reading.ts";
import type { Timeline } from "./timeline.ts";

export type ThreadContext = {
  me: PersonRef;
  api: Pick<Api, "thread" | "followThread">;
  live: Pick<Live, "readThread">;
  after: (delay: number, task: () => void) => () => void;
  /** What this person changes about the messages of the room; `last` is the last one of theirs in the thread. */
  changes: (last: () => Message | null) => Changes;
  /** Something is shown otherwise than before. */
  changed: () => void;
  /** The server has said how far this person has read it, and whether they follow it. */
  told: (thread: ThreadReading) => void;
};

export class Thread {
  readonly state = signal<"loading" | "there" | "missing">("loading");
  readonly older = signal<"idle" | "loading" | "failed">("idle");
  readonly hasOlder = signal(false);
  readonly following = signal(false);
  /** Answers after this number are new since it was opened; null when nothing is. */
  readonly newAfter = signal<number | null>(null);
  /** An answer that somebody asked to see; null once the list shows it. */
  readonly target = signal<number | null>(null);
  readonly draft = signal("");
  /** Whom it mentions. */
  readonly mentions = signal<readonly Mention[]>([]);
  readonly replyTo = signal<Answered | null>(null);
  readonly alsoInRoom = signal(false);
  readonly unread: ReadonlySignal<number>;
  readonly reading: Reading;
  readonly changes: Changes;
  /** What it is kept under beside the drafts of rooms. */
  readonly key: string;
  private readonly version = signal(0);
  /** As they were read; what they are now the timeline says. */
  private rootRead: Message | null = null;
  private answers: RoomEvent[] = [];
  private asking: AbortController | null = null;
  private cancelRetry: (() => void) | null = null;
  private failures = 0;
  private closed = false;

  constructor(
    readonly room: { readonly id: string; readonly timeline: Timeline },
    readonly root: string,
    private readonly context: ThreadContext,
  ) {
    this.key = `${room.id}/${root}`;
    this.reading = new Reading(
      { read: 0, unread: 0, offset: 0 },
      {
        next: (after) => this.nextOfOthers(after),
        last: () => this.answers.at(-1)?.number ?? 0,
        send: async (number, unread) => {
          if (!this.following.peek()) return "never";
          const told = await context.live.readThread(room.id, root, number, unread);
          if (typeof told === "string") return told;
          context.told(told);
          return { ...told, mentions: 0 };
        },
        now: () => Date.now(),
        after: context.after,
      },
    );
    this.unread = computed(() => this.countAfter(this.version.value, this.reading.number.value));
    this.changes = context.changes(() => this.lastOwn());
    void this.load();
  }

  /** Another text stands in the composer. */
  write({ text, mentions }: Written): void {
    batch(() => {
      this.draft.value = text;
      this.mentions.value = mentions;
    });
  }

  close(): void {
    this.closed = true;
    this.asking?.abort();
    this.cancelRetry?.();
    this.reading.send();
    this.reading.close();
    this.room.timeline.unpin();
  }

  /** The message that it is under, as it is now; null while it is not here. */
  get message(): Message | null {
    return this.room.timeline.find(this.root) ?? this.rootRead;
  }

  /** What came, ascending. */
  get events(): readonly RoomEvent[] {
    return this.answers;
  }

  /** Whether an answer is here. */
  has(number: number): boolean {
    return this.answers.some((answer) => answer.number === number);
  }

  /** Reads the newest answers; `anew` where some may have been missed, so that no others stay. */
  async load(anew = false): Promise<void> {
    this.cancelRetry?.();
    this.asking?.abort();
    const { signal } = (this.asking = new AbortController());
    const changes = changesOfReading();
    try {
      const page = await this.context.api.thread(this.room.id, this.root, undefined, THREAD_PAGE_MESSAGES, signal);
      if (signal.aborted) return;
      this.failures = 0;
      this.take(page, anew);
      this.reading.listed({ ...page.reading, mentions: 0 }, changes);
      this.following.value = page.reading.following;
      if (this.state.peek() !== "there" && page.reading.unread > 0) this.newAfter.value = page.reading.read;
      this.state.value = "there";
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status === 404) this.state.value = "missing";
      else this.loadAgain();
    }
    this.changed();
  }

  private loadAgain(): void {
    this.failures += 1;
    this.cancelRetry = this.context.after(resendDelay(this.failures, Math.random()), () => void this.load());
  }

  /** Reads the answers before the first one here. */
  async loadOlder(): Promise<void> {
    const first = this.answers[0];
    if (!first || !this.hasOlder.peek() || this.older.peek() === "loading") return;
    this.older.value = "loading";
    try {
      const page = await this.context.api.thread(this.room.id, this.root, first.number, THREAD_PAGE_MESSAGES);
      if (this.closed) return;
      // Read anew meanwhile, it is another place that they would join.
      if (this.answers[0] === first) this.add(page);
      this.older.value = "idle";
    } catch {
      this.older.value = "failed";
    }
    this.changed();
  }

  /** Goes to an answer, wherever in the thread it is. */
  async goTo(number: number): Promise<void> {
    while (!this.has(number) && this.hasOlder.peek() && (this.answers[0]?.number ?? 0) > number) {
      const first = this.answers[0];
      await this.loadOlder();
      if (this.answers[0] === first) return;
    }
    this.target.value = number;
  }

  /** The room told of something. */
  heard(event: RoomEvent): void {
    const { message, type, number } = event;
    if (type !== "message.posted" || message?.thread !== this.root || this.has(number)) return;
    const first = this.answers[0];
    if (this.hasOlder.peek() && first && number < first.number) return;
    this.room.timeline.pin([message]);
    this.answers = [...this.answers, event].sort((a, b) => a.number - b.number);
    this.changed();
  }

  /** The server says how far this was read, on this device or another. */
  told(thread: ThreadReading): void {
    this.following.value = thread.following;
    this.reading.told({ ...thread, mentions: 0 });
  }

  /** Follows it, or no more; shown at once. */
  async follow(follows: boolean): Promise<void> {
    const before = this.following.peek();
    this.following.value = follows;
    try {
      const told = await this.context.api.followThread(this.room.id, this.root, follows);
      this.following.value = told.following;
      this.reading.told({ ...told, mentions: 0 });
      this.context.told(told);
    } catch (error) {
      this.following.value = before;
      throw error;
    }
  }

  /** Everything behind a number is to be read again. */
  markUnread(number: number): void {
    this.reading.back(number);
    this.newAfter.value = number;
    this.changed();
  }

  private changed(): void {
    this.version.value += 1;
    this.context.changed();
  }

  private take(page: ThreadPage, anew: boolean): void {
    const { messages } = page;
    this.rootRead = page.root;
    const [start, first, end] = [messages[0], this.answers[0], this.answers.at(-1)];
    const isApart = page.more && start !== undefined && end !== undefined && start.number > end.number;
    // What was missed may have changed, or taken away, any of those that are not on the page.
    const isNew = anew || isApart;
    if (isNew) this.answers = [];
    if (isNew || !first || (start && start.number <= first.number)) this.hasOlder.value = page.more;
    this.room.timeline.pin([page.root], page.reading.offset);
    this.merge(page);
  }

  private add(page: ThreadPage): void {
    this.hasOlder.value = page.more;
    this.merge(page);
  }

  private merge({ messages, reading }: ThreadPage): void {
    this.room.timeline.pin(messages, reading.offset);
    const known = new Set(this.answers.map((answer) => answer.number));
    const added = messages
      .filter((message) => !known.has(message.number))
      .map((message) => ({ type: "message.posted", number: message.number, time: message.time, message }));
    this.answers = [...this.answers, ...added].sort((a, b) => a.number - b.number);
  }

  private present(event: RoomEvent): Message | undefined {
    return this.room.timeline.message(event);
  }

  private isOfOthers(event: RoomEvent): boolean {
    const message = this.present(event);
    return message !== undefined && message.author.id !== this.context.me.id && message.deleted === undefined;
  }

  private nextOfOthers(after: number): number | null | undefined {
    const first = this.answers[0];
    if (this.state.peek() !== "there" || (this.hasOlder.peek() && first && after + 1 < first.number)) return undefined;
    return this.answers.find((answer) => answer.number > after && this.isOfOthers(answer))?.number ?? null;
  }

  private countAfter(_version: number, read: number): number {
    return this.answers.filter((answer) => answer.number > read && this.isOfOthers(answer)).length;
  }

  private lastOwn(): Message | null {
    const own = (event: RoomEvent): boolean => event.message?.author.id === this.context.me.id && !this.present(event)?.deleted;
    const last = this.answers.filter(own).at(-1);
    return (last && this.present(last)) ?? null;
  }
}
