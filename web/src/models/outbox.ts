/**
 * The messages that this person wrote and that are not in the room yet.
 *
 * Each room sends one at a time, in the order written, always under the same client id: a repeat is harmless at the
 * server, so whatever is in doubt is sent again. Only a refusal fails a message. While the server does not take it, it
 * waits, for as long as this page is open, and nothing that was written later overtakes it. What was written survives a
 * reload (`UnsentStore`). Knows no socket and no screen: `send` and the clock come in from outside.
 */
import { RESEND_DELAY_MAX_MS, RESEND_DELAY_MIN_MS, SENT_REMEMBERED_MAX } from "../limits.ts";
import type { Answered, Posted } from "../wire.ts";
import { isInRoom } from "./replies.ts";
import { uuidv7 } from "./uuid.ts";

export type Unsent = {
  client_id: string;
  person: string;
  room: string;
  body: string;
  /** The same with names in the place of ids; absent where it mentions nobody. */
  shown?: string;
  /** Whether everybody in a large room is meant. */
  everybody?: boolean;
  /** What it answers; absent in what pages of before have kept. */
  reply_to?: Answered;
  /** The message in whose thread it is to stand, and whether in the room too. */
  thread?: string;
  also_in_room?: boolean;
  created: number;
  /** Whether it left this computer at least once, so that the server may have it. */
  attempted: boolean;
  /** Why the server will not take it; null while there is hope. */
  failure: SendFailure | null;
  /** The server's answer, until the event itself arrives. */
  posted: Posted | null;
};

/** `no_answer` is of pages of before, which gave up after a while; it may still be stored. */
export type SendFailure = "not_a_member" | "too_long" | "empty" | "conflict" | "archived" | "tells_many" | "guest_tells_all" | "no_answer" | "refused";

/**
 * What keeps a server that we are connected to from taking messages: it cannot use its database, has no room left, does
 * not answer, or something in it fails.
 */
export type Hindrance = "database" | "full" | "silent" | "failing";

/** `later`: the connection is gone, wait for it. `again`: ask again soon; null when this person was only too fast. */
export type SendResult = { posted: Posted } | { failure: SendFailure } | "later" | { again: Hindrance | null };

export interface UnsentStore {
  load(person: string): Promise<Unsent[]>;
  put(unsent: Unsent): Promise<void>;
  /** Replaces what is stored; changes nothing where another tab has sent or deleted it meanwhile. */
  update(unsent: Unsent): Promise<void>;
  delete(clientId: string): Promise<void>;
  clear(person: string): Promise<void>;
}

export type OutboxOptions = {
  person: string;
  store: UnsentStore;
  send: (unsent: Unsent) => Promise<SendResult>;
  /** Called after each change, with the room concerned. */
  changed: (room: string) => void;
  /** The last number of a room that is on the screen: an answer up to there has its message there. */
  reached: (room: string) => number;
  /** Called with what keeps the server from taking messages, after each attempt; null when nothing does. */
  hindered: (why: Hindrance | null) => void;
  /** Runs `task` after a delay in milliseconds, unless the returned function is called before. */
  after: (delay: number, task: () => void) => () => void;
  random?: () => number;
};

export class Outbox {
  private list: Unsent[] = [];
  /** How often in a row the first message of a room was put off. */
  private readonly attempts = new Map<string, number>();
  /** Rooms that wait until their first message is sent again, each with what gives up that wait. */
  private readonly pauses = new Map<string, () => void>();
  private isHindered = false;
  private readonly busy = new Set<string>();
  /** What an earlier visit or another tab of this person wrote, and this page only found. */
  private readonly found = new Set<string>();
  /**
   * What was sent or deleted, here or as an event tells, and is not to come back: what is read from the store was true
   * when the reading began, and other tabs send and delete meanwhile. The newest `SENT_REMEMBERED_MAX`: every message of this
   * person that is seen counts, and one that is forgotten and found again is only sent again, which is harmless.
   */
  private readonly done = new Set<string>();
  private restoring: Promise<void> = Promise.resolve();
  /** Counts the clearings, so that what was read before one is not brought back. */
  private clearings = 0;
  private online = false;

  constructor(private readonly options: OutboxOptions) {}

  /** What waits in a room, in the order written. */
  in(room: string): Unsent[] {
    return this.list.filter((unsent) => unsent.room === room);
  }

  /** The same of those that are to stand among the room's messages. */
  inRoom(room: string): Unsent[] {
    return this.in(room).filter(isInRoom);
  }

  /** The same of those that are to stand in a thread. */
  inThread(room: string, root: string): Unsent[] {
    return this.in(room).filter((unsent) => unsent.thread === root);
  }

  /** How many messages the server has not taken yet. */
  get size(): number {
    return this.list.filter((unsent) => !unsent.posted).length;
  }

  /** Brings back what an earlier visit or another tab left, and forgets what was sent or deleted there meanwhile. */
  restore(): Promise<void> {
    // One after the other: an older reading that came last would take away what a newer one found.
    const { clearings } = this;
    this.restoring = this.restoring.then(() => this.readStore(clearings)).catch(() => undefined);
    return this.restoring;
  }

  private async readStore(clearings: number): Promise<void> {
    const stored = await this.options.store.load(this.options.person);
    if (clearings !== this.clearings) return;
    const kept = new Set(stored.map((unsent) => unsent.client_id));
    const known = new Set([...this.done, ...this.list.map((unsent) => unsent.client_id)]);
    const added = stored.filter((unsent) => !known.has(unsent.client_id));
    const gone = this.list.filter(
      (unsent) => this.found.has(unsent.client_id) && !kept.has(unsent.client_id) && !unsent.posted,
    );
    for (const unsent of added) this.found.add(unsent.client_id);
    this.list = [...this.list.filter((unsent) => !gone.includes(unsent)), ...added].sort(byAge);
    for (const room of new Set([...added, ...gone].map((unsent) => unsent.room))) {
      this.options.changed(room);
      void this.flush(room);
    }
  }

  /** Takes a message: it is on the screen at once, and sent as soon as its turn comes. */
  add(room: string, body: string, now: number, replyTo: Answered | null = null, more: Pick<Unsent, "shown" | "everybody" | "thread" | "also_in_room"> = {}): Unsent {
    const unsent: Unsent = {
      client_id: uuidv7(now),
      person: this.options.person,
      room,
      body,
      ...more,
      ...(replyTo && { reply_to: replyTo }),
      created: now,
      attempted: false,
      failure: null,
      posted: null,
    };
    this.list.push(unsent);
    void this.options.store.put(unsent);
    this.options.changed(room);
    void this.flush(room);
    return unsent;
  }

  /** The connection stands (or broke): everything waiting is sent, in order, room by room. */
  connected(online: boolean): void {
    this.online = online;
    this.attempts.clear();
    this.endPauses();
    this.hinder(null);
    if (!online) return;
    void this.restore();
    for (const room of new Set(this.list.map((unsent) => unsent.room))) void this.flush(room);
  }

  /** Does not wait for the next attempts. */
  tryNow(): void {
    for (const room of this.endPauses()) void this.flush(room);
  }

  /** The person asks to try a failed message again, under the same client id. */
  retry(clientId: string): void {
    const unsent = this.find(clientId);
    if (!unsent?.failure) return;
    // Whoever tries again what tells many means it.
    this.change(unsent, { failure: null, ...(unsent.failure === "tells_many" && { everybody: true }) });
    void this.flush(unsent.room);
  }

  /** The same for all that failed in a room. */
  retryAll(room: string): void {
    for (const unsent of this.in(room).filter((one) => one.failure)) this.retry(unsent.client_id);
  }

  delete(clientId: string): void {
    this.remember(clientId);
    const unsent = this.find(clientId);
    if (!unsent) return;
    this.list = this.list.filter((other) => other !== unsent);
    if (!this.list.some(isWaiting)) this.hinder(null);
    void this.options.store.delete(clientId);
    this.options.changed(unsent.room);
  }

  /** A message of mine is in the room, as an event that carries its client id: it is no longer unsent, in no tab. */
  arrived(clientId: string): void {
    this.delete(clientId);
  }

  /** Everything up to `number` is on the screen: answers up to there have done their work. */
  caughtUp(room: string, number: number): void {
    for (const unsent of this.in(room)) {
      if (unsent.posted && unsent.posted.number <= number) this.delete(unsent.client_id);
    }
  }

  /** The room was restored from a backup: an answer whose event did not come may be of what was lost, so ask again. */
  renewed(room: string): void {
    for (const unsent of this.in(room).filter((one) => one.posted)) {
      this.change(unsent, { posted: null });
      void this.options.store.put({ ...unsent, posted: null });
    }
    void this.flush(room);
  }

  /** Forgets everything, also what is stored: the person signed out. */
  async clear(): Promise<void> {
    this.clearings += 1;
    for (const unsent of this.list) this.remember(unsent.client_id);
    this.list = [];
    this.found.clear();
    this.endPauses();
    this.hinder(null);
    await this.options.store.clear(this.options.person);
  }

  // One at a time per room, so that they arrive in the order written. Each step looks at the list anew, because
  // events, retries and deletions change it meanwhile. Who writes on while a room waits does not end its wait.
  private async flush(room: string): Promise<void> {
    if (this.busy.has(room) || this.pauses.has(room)) return;
    this.busy.add(room);
    try {
      for (let next = this.next(room); this.online && next; next = this.next(room)) {
        if (!(await this.sendOne(next))) break;
      }
    } finally {
      this.busy.delete(room);
    }
  }

  private next(room: string): Unsent | undefined {
    return this.list.find((unsent) => unsent.room === room && isWaiting(unsent));
  }

  /** Returns whether to go on with the next one. */
  private async sendOne(unsent: Unsent): Promise<boolean> {
    if (!unsent.attempted) this.change(unsent, { attempted: true });
    const result = await this.options.send(unsent);
    if (result === "later") return false;
    if ("again" in result) {
      this.pause(unsent.room, result.again);
      return false;
    }
    this.taken(unsent.room);
    const current = this.find(unsent.client_id);
    if (!current) return true; // its event came first, or it was deleted
    if ("failure" in result) {
      this.change(current, { failure: result.failure });
    } else if (result.posted.number <= this.options.reached(current.room)) {
      this.delete(current.client_id);
    } else {
      this.change(current, { posted: result.posted });
      this.remember(current.client_id);
      void this.options.store.delete(current.client_id);
    }
    return true;
  }

  private pause(room: string, why: Hindrance | null): void {
    if (!this.online || !this.next(room)) return;
    const attempts = (this.attempts.get(room) ?? 0) + 1;
    this.attempts.set(room, attempts);
    const delay = resendDelay(attempts, this.options.random?.() ?? Math.random());
    const giveUp = this.options.after(delay, () => {
      this.pauses.delete(room);
      void this.flush(room);
    });
    this.pauses.set(room, giveUp);
    this.hinder(why);
  }

  /** The server has decided on a message: nobody waits for it to come to itself any more. */
  private taken(room: string): void {
    this.attempts.delete(room);
    if (!this.isHindered) return;
    this.hinder(null);
    this.tryNow();
  }

  /** Answers which rooms have waited. */
  private endPauses(): string[] {
    const rooms = [...this.pauses.keys()];
    for (const giveUp of this.pauses.values()) giveUp();
    this.pauses.clear();
    return rooms;
  }

  private hinder(why: Hindrance | null): void {
    if (why === null && !this.isHindered) return;
    this.isHindered = why !== null;
    this.options.hindered(why);
  }

  private remember(clientId: string): void {
    this.done.delete(clientId);
    this.done.add(clientId);
    const [oldest] = this.done;
    if (this.done.size > SENT_REMEMBERED_MAX && oldest !== undefined) this.done.delete(oldest);
  }

  private find(clientId: string): Unsent | undefined {
    return this.list.find((unsent) => unsent.client_id === clientId);
  }

  // A changed message is a new object, so that the screen sees the difference.
  private change(unsent: Unsent, change: Partial<Unsent>): void {
    const changed = { ...unsent, ...change };
    this.list = this.list.map((other) => (other.client_id === unsent.client_id ? changed : other));
    if (!changed.posted) void this.options.store.update(changed);
    this.options.changed(unsent.room);
  }
}

/** Exponential with full jitter, in milliseconds; `random` is in [0, 1). */
export function resendDelay(attempt: number, random: number): number {
  const ceiling = Math.min(RESEND_DELAY_MAX_MS, RESEND_DELAY_MIN_MS * 2 ** Math.min(attempt, 16));
  return RESEND_DELAY_MIN_MS + Math.round(random * (ceiling - RESEND_DELAY_MIN_MS));
}

function isWaiting(unsent: Unsent): boolean {
  return !unsent.failure && !unsent.posted;
}

function byAge(a: Unsent, b: Unsent): number {
  return a.client_id < b.client_id ? -1 : a.client_id > b.client_id ? 1 : 0;
}
