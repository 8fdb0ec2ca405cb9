/**
 * The threads that this person follows, the one that was answered last first: asked for some at a time, and kept true by what is
 * heard in rooms and of this person.
 */
import { computed, signal, type ReadonlySignal } from "@preact/signals";
import type { Api } from "../api.ts";
import { ANSWERED_CHARS_MAX, THREADS_REFRESH_MS, UNREAD_COUNTED_MAX } from "../limits.ts";
import type { PersonRef, RoomEvent, ThreadCard, ThreadReading } from "../wire.ts";
import { words } from "./content.ts";
import { replied } from "./replies.ts";

export type ThreadsContext = {
  me: PersonRef;
  api: Pick<Api, "threads">;
  after: (delay: number, task: () => void) => () => void;
};

/** What is told of one's threads on one's own channel. */
export type ThreadNews = { type: string; thread?: ThreadReading };

export class Threads {
  readonly list = signal<readonly ThreadCard[]>([]);
  readonly more = signal(false);
  readonly state = signal<"new" | "loading" | "there" | "failed">("new");
  /** In how many of them something is unread. */
  readonly unread: ReadonlySignal<number>;
  /** How many of those are not in the list. */
  private readonly beyond = signal(0);
  private cancelRefresh: (() => void) | null = null;
  private reading: AbortController | null = null;
  /** Counts what was heard, so that a list that was asked for before does not undo it. */
  private heardSince = 0;

  constructor(private readonly context: ThreadsContext) {
    this.unread = computed(() => this.beyond.value + this.list.value.filter((thread) => thread.unread > 0).length);
  }

  close(): void {
    this.cancelRefresh?.();
    this.reading?.abort();
  }

  /** Asks for the first of them. */
  async refresh(): Promise<void> {
    this.cancelRefresh?.();
    this.cancelRefresh = null;
    this.reading?.abort();
    const { signal } = (this.reading = new AbortController());
    if (this.state.peek() !== "there") this.state.value = "loading";
    const heard = this.heardSince;
    try {
      const page = await this.context.api.threads(undefined, signal);
      if (signal.aborted) return;
      if (heard !== this.heardSince) this.refreshSoon();
      this.list.value = page.threads;
      this.more.value = page.more;
      this.beyond.value = Math.max(0, page.unread - page.threads.filter((thread) => thread.unread > 0).length);
      this.state.value = "there";
    } catch {
      if (signal.aborted) return;
      if (this.state.peek() !== "there") this.state.value = "failed";
    }
  }

  /** The same in a moment: what happens together is asked for together. */
  refreshSoon(): void {
    this.cancelRefresh ??= this.context.after(THREADS_REFRESH_MS, () => void this.refresh());
  }

  /** Asks for those behind the last one. */
  async loadMore(): Promise<void> {
    const last = this.list.peek().at(-1);
    if (!last) return;
    const page = await this.context.api.threads(last.replies.last.id);
    const known = new Set(this.list.peek().map((thread) => thread.id));
    const added = page.threads.filter((thread) => !known.has(thread.id));
    this.beyond.value = Math.max(0, this.beyond.peek() - added.filter((thread) => thread.unread > 0).length);
    this.list.value = [...this.list.peek(), ...added];
    this.more.value = page.more;
  }

  /** Something happened in a room. */
  heard({ type, number, message }: RoomEvent): void {
    if (!message || this.state.peek() === "new") return;
    const card = this.list.peek().find((thread) => thread.id === (message.thread ?? message.id));
    // Of one that is further down nobody knows here whether it is followed.
    if (!card) {
      if (message.thread !== undefined && this.more.peek()) this.refreshSoon();
      return;
    }
    this.heardSince += 1;
    if (message.thread === undefined || type !== "message.posted") {
      this.refreshSoon();
      return;
    }
    if (number <= card.replies.last.number) return;
    const own = message.author.id === this.context.me.id;
    const { id, author } = message;
    const now: ThreadCard = {
      ...card,
      replies: replied(card.replies, type, message) ?? card.replies,
      last: { id, number, author, ...(message.deleted ? { deleted: true } : { text: words(message).slice(0, ANSWERED_CHARS_MAX) }) },
      unread: own || number <= card.read ? card.unread : Math.min(UNREAD_COUNTED_MAX, card.unread + 1),
    };
    this.list.value = [now, ...this.list.peek().filter((thread) => thread !== card)];
  }

  /** The server tells of this person's threads, or has answered what they did. */
  told({ type, thread }: ThreadNews): void {
    this.heardSince += 1;
    const card = thread && this.list.peek().find((known) => known.id === thread.id);
    if (!thread || (thread.following && !card)) {
      this.refreshSoon();
      return;
    }
    if (!card) return;
    this.list.value = this.list.peek().flatMap((known) => (known !== card ? [known] : thread.following ? [{ ...card, ...thread }] : []));
    if (type === "thread.followed" && !thread.following && this.more.peek()) this.refreshSoon();
  }

  /** Everything is read. */
  allRead(): void {
    this.list.value = this.list.peek().map((thread) => (thread.unread > 0 ? { ...thread, unread: 0 } : thread));
    this.beyond.value = 0;
    this.refreshSoon();
  }
}
