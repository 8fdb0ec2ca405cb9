/**
 * One room that this person is in: its history kept whole, who is typing, who is here, and what is unread.
 *
 * Follows the room live first and reads history afterwards, so that nothing falls in between; the timeline drops
 * what comes twice.
 */
import { batch, computed, signal, type ReadonlySignal } from "@preact/signals";
import type { Api } from "../api.ts";
import {
  AFTER_TARGET_EVENTS,
  BEFORE_NEW_EVENTS,
  CATCH_UP_EVENTS_MAX,
  CATCH_UP_PAGE_EVENTS,
  HISTORY_PAGE_EVENTS,
  PROFILES_READ_MAX,
  RECENT_AUTHORS_LOOKED_AT,
  TIMELINE_EVENTS_MAX,
  UNREAD_COUNTED_MAX,
} from "../limits.ts";
import type { Live } from "../live.ts";
import type { Answered, EventsPage, PersonRef, Role, RoomEvent, RoomInfo, ThreadReading } from "../wire.ts";
import { Changes, type Undoable } from "./changes.ts";
import { changed, isBlank, isDirect, looksAfter } from "./kinds.ts";
import type { Listed } from "./listing.ts";
import { mentionsPerson, type Mention, type Written } from "./mentions.ts";
import { resendDelay, type Outbox } from "./outbox.ts";
import { Presence, type Here } from "./presence.ts";
import { Reactions } from "./reactions.ts";
import { Reading, type Counted, type Told } from "./reading.ts";
import { isInRoom } from "./replies.ts";
import { Thread } from "./thread.ts";
import { Timeline } from "./timeline.ts";
import { Typing } from "./typing.ts";

export type Unread = { count: number; more: boolean };

const QUIET: Unread = { count: 0, more: false };

export type RoomContext = {
  me: PersonRef;
  api: Pick<Api, "events" | "message" | "editMessage" | "deleteMessage" | "restoreMessage" | "react" | "thread" | "followThread">;
  live: Pick<Live, "follow" | "presence" | "readThread">;
  outbox: Pick<Outbox, "arrived" | "caughtUp" | "renewed" | "in">;
  /** Tells the server how far this person has read. */
  read: (room: string, number: number, unread: boolean) => Promise<Told>;
  /** What the server has counted is not what there is any more. */
  miscounted: () => void;
  /** Someone else's message arrived live. */
  heard: (room: Room, event: RoomEvent) => void;
  /** Something happened that concerns this person in particular, or no more. */
  concerned: () => void;
  /** Whatever happened, live. */
  happened: (event: RoomEvent) => void;
  /** The server has said how far this person has read a thread. */
  threadTold: (thread: ThreadReading) => void;
  /** The server put this person out of the room. */
  ended: (room: Room) => void;
  /** A message was deleted here and can be restored for a moment; null when it cannot any more, or was. */
  undoable: (what: Undoable | null) => void;
  /** What this person may do on the server. */
  role: ReadonlySignal<Role>;
  /** Runs a task with the next frame, many requests at once. */
  nextFrame: (task: () => void) => void;
  /** Runs a task after a delay in milliseconds, unless the returned function is called before. */
  after: (delay: number, task: () => void) => () => void;
};

/** What somebody asked to see stands in a thread, and not in the room. */
export class InThread extends Error {
  constructor(
    readonly root: string,
    readonly number: number,
  ) {
    super("it stands in a thread");
  }
}

/** The numbers of the events that a reader has before them. */
export type Place = { from: number; to: number };

export class Room {
  readonly timeline: Timeline;
  readonly info;
  /** Counts the changes of what is shown, at most one per frame. */
  readonly version = signal(0);
  readonly typing = signal<PersonRef[]>([]);
  readonly here = signal<Here[]>([]);
  readonly history = signal<"idle" | "loading" | "failed">("idle");
  /** How far this person has read. */
  readonly reading: Reading;
  /** Messages after this number are new since the last look; null when the line is not wanted. */
  readonly newAfter = signal<number | null>(null);
  /** An event that somebody asked to see; null once the list shows it. */
  readonly target = signal<number | null>(null);
  /** Whether the list is to go to the line before what is new, as soon as that is here. */
  readonly opening = signal(false);
  /** Counts the changes of who is a member. */
  readonly membership = signal(0);
  readonly unread: ReadonlySignal<Unread>;
  /** How many messages that wait here mention this person. */
  readonly mentioned: ReadonlySignal<number>;
  /** What of it is to be brought up beside mentions: nothing of a room that is muted. */
  readonly calling: ReadonlySignal<Unread>;
  /** Where it belongs in the list of rooms. */
  readonly listed: Listed;
  /** Whether somebody else is, or was, in the room. */
  readonly company: ReadonlySignal<boolean>;
  /** What stands in the composer, and the names in it. */
  readonly draft = signal("");
  readonly mentions = signal<readonly Mention[]>([]);
  /** Whether something stands there. */
  readonly drafted: ReadonlySignal<boolean>;
  /** Whether this person looks after the room. */
  readonly manages: ReadonlySignal<boolean>;
  /** Whether something waits here for this person: what they have not sent, or not read. */
  readonly waits: ReadonlySignal<boolean>;
  /** Whether it is a direct message in which nobody has written anything. */
  readonly blank: ReadonlySignal<boolean>;
  /** Whether so much was missed that a reader who is further up gets it as they come down to it. */
  readonly behind = signal(false);
  /** Counts how often the room's numbers started anew. */
  readonly renewals = signal(0);

  /** What this person changes about what was said. */
  readonly changes: Changes;

  /** The numbers of messages that came while this page listened, of those that mention whoever does. */
  private readonly heardLive = new Set<number>();
  private readonly othersSeen = signal(false);
  readonly reactions: Reactions;
  /** The message that what stands in the composer answers. */
  readonly replyTo = signal<Answered | null>(null);
  /** The thread that is open beside it. */
  private thread: Thread | null = null;
  private readonly typists = new Typing();
  private readonly presence = new Presence();
  private readonly unfollow: () => void;
  private typingTimer: ReturnType<typeof setTimeout> | undefined;
  /** What a reader who is further up has before them, which must not move; null when the newest is wanted. */
  private place: Place | null = null;
  /** Events of the place that are to be read again, because what changed them was missed and not read. */
  private stale: Place | null = null;
  /** The reader who is behind wants to see what comes after this number. */
  private wanted: number | null = null;
  /** The reading of what was missed that is under way: at most one. */
  private catchingUp: AbortController | null = null;
  private readingOlder: AbortController | null = null;
  private cancelOlder: (() => void) | null = null;
  /** The reading of the history around what is new, for the list to open there; null when there is none. */
  private reachingNew: object | null = null;
  /** The going to an event that is under way: the last one that was asked for, unless the reader went elsewhere since. */
  private going: { reading: AbortController | null } | null = null;
  private olderFailures = 0;
  private cancelRetry: (() => void) | null = null;
  private failures = 0;
  /** Who is here is asked for only where somebody looks. */
  private entered = false;
  private changePending = false;
  private closed = false;

  constructor(
    info: RoomInfo,
    private readonly context: RoomContext,
  ) {
    this.timeline = new Timeline(context.me.id);
    this.info = signal(info);
    this.reading = new Reading(info, {
      next: (after) => this.nextOfOthers(after),
      last: () => this.timeline.last,
      send: (number, unread) => context.read(info.id, number, unread),
      now: () => Date.now(),
      after: context.after,
    });
    this.unread = computed(() => this.countUnread(this.version.value, this.reading.number.value, this.reading.counted.value));
    this.mentioned = computed(() => this.countMentions(this.version.value, this.reading.number.value, this.reading.counted.value));
    this.calling = computed(() => (this.info.value.muted ? QUIET : this.unread.value));
    this.listed = this.asListed();
    this.drafted = computed(() => this.draft.value.trim() !== "");
    this.waits = computed(() => {
      const { count, more } = this.calling.value;
      return this.drafted.value || count > 0 || more || this.mentioned.value > 0 || this.unsentAt(this.version.value) > 0;
    });
    this.company = computed(() => this.info.value.members > 1 || this.othersSeen.value);
    this.manages = computed(() => looksAfter(context.role.value, this.info.value));
    this.blank = computed(() => isBlank(this.info.value, this.newestAt(this.version.value)));
    this.changes = new Changes(this, { ...context, manages: this.manages });
    this.reactions = new Reactions(this, context);
    this.unfollow = context.live.follow(info.id, {
      subscribed: (offset, epoch) => this.subscribed(offset, epoch),
      event: (event) => this.event(event),
      typing: (person) => this.heardTyping(person),
      joined: (connection) => this.changePresence(() => this.presence.joined(connection)),
      left: (client) => this.changePresence(() => this.presence.left(client)),
      idle: (client, idle) => this.changePresence(() => this.presence.told(client, idle)),
      ended: () => context.ended(this),
    });
  }

  /** Another text stands in the composer. */
  write({ text, mentions }: Written): void {
    batch(() => {
      this.draft.value = text;
      this.mentions.value = mentions;
    });
  }

  /** Who has written here last, the last one first. */
  recentAuthors(): string[] {
    const { timeline } = this;
    const authors = new Set<string>();
    for (let number = timeline.last; number >= Math.max(timeline.first, timeline.last - RECENT_AUTHORS_LOOKED_AT); number--) {
      const event = timeline.at(number);
      if (event?.type === "message.posted" && event.message) authors.add(event.message.author.id);
    }
    return [...authors];
  }

  get id(): string {
    return this.info.peek().id;
  }

  /** What its draft is kept under. */
  get key(): string {
    return this.id;
  }

  /** Opens the thread under a message, in the place of any other. */
  openThread(root: string): Thread {
    this.closeThread();
    const { me, api, live, after, threadTold } = this.context;
    this.thread = new Thread(this, root, {
      me,
      api,
      live,
      after,
      changes: (last) => new Changes(this, { ...this.context, manages: this.manages }, last),
      changed: () => this.changed(),
      told: threadTold,
    });
    return this.thread;
  }

  closeThread(): void {
    this.thread?.close();
    this.thread = null;
  }

  close(): void {
    this.closed = true;
    this.closeThread();
    this.going = null;
    this.reading.close();
    clearTimeout(this.typingTimer);
    this.stopCatchingUp();
    this.readingOlder?.abort();
    this.cancelOlder?.();
    this.unfollow();
  }

  /**
   * The reader is further up and has this place before them, or is at the end (null) and wants what is newest.
   */
  hold(place: Place | null): void {
    if (place && this.opening.peek()) this.stopOpening();
    const wasHeld = this.place !== null;
    if (wasHeld && !place) this.stopGoing();
    this.place = place;
    if (wasHeld !== (place !== null)) this.catchUp();
  }

  /** The reader wants what is newest, wherever they were about to go. */
  toEnd(): void {
    this.stopGoing();
    this.stopOpening();
    this.hold(null);
    this.reading.pass();
  }

  /** The person goes to another room. */
  leave(): void {
    this.stopGoing();
    this.stopOpening();
    this.trim();
  }

  private stopGoing(): void {
    const { going } = this;
    this.going = null;
    if (!going?.reading || going.reading !== this.readingOlder) return;
    going.reading.abort();
    this.history.value = "idle";
  }

  // They went elsewhere before what is new was here.
  private stopOpening(): void {
    this.opening.value = false;
    if (!this.reachingNew) return;
    this.reachingNew = null;
    this.readingOlder?.abort();
    this.history.value = "idle";
  }

  /** The reader who is behind has come to the last event held. */
  readOn(): void {
    if (!this.behind.peek()) return;
    this.wanted = this.timeline.last;
    this.catchUp();
  }

  /** The person opens this room: at what is new, which gets its line, or else at the end. */
  enter(): void {
    this.entered = true;
    this.stopGoing();
    this.target.value = null;
    const { reading, timeline } = this;
    reading.open();
    this.newAfter.value = this.hasUnread ? reading.number.peek() : null;
    this.opening.value = this.newAfter.peek() !== null;
    const short = timeline.events.length < HISTORY_PAGE_EVENTS && timeline.hasOlder;
    if (this.newMissing + BEFORE_NEW_EVENTS > CATCH_UP_PAGE_EVENTS) void this.reachNew(reading.number.peek() + 1);
    else if (!timeline.positioned || short || this.newMissing > 0) void this.loadOlder();
    void this.refreshPresence();
  }

  private async reachNew(number: number): Promise<void> {
    const reaching = (this.reachingNew = {});
    const reached = await this.reach(number).catch(() => false);
    if (this.reachingNew !== reaching) return;
    this.reachingNew = null;
    if (reached) return;
    // Without it the room opens as ever.
    this.opening.value = false;
    if (!this.timeline.positioned) void this.loadOlder();
  }

  /** Everything behind a number is to be read again. */
  markUnread(number: number): void {
    this.reading.back(number);
    this.newAfter.value = number;
    this.opening.value = false;
    this.changed();
  }

  /** From here on, what comes is new to a person who looked away. A line whose first message they have not seen stays. */
  lookAway(): void {
    const [line, read] = [this.newAfter.peek(), this.reading.number.peek()];
    if (this.timeline.positioned && (line === null || read > line)) this.newAfter.value = read;
  }

  /** The person is back; without anything new the line has nothing to say. */
  lookBack(): void {
    if (!this.hasUnread) this.newAfter.value = null;
  }

  /** Reads the page before the first event held, or the newest page while there is none. */
  async loadOlder(): Promise<void> {
    const { timeline } = this;
    if (this.history.peek() === "loading" || (timeline.positioned && !timeline.hasOlder)) return;
    this.history.value = "loading";
    this.cancelOlder?.();
    const { signal } = (this.readingOlder = new AbortController());
    try {
      const at = timeline.positioned ? { before: timeline.first } : {};
      // What is new comes along where it fits into a page, so that it can be counted.
      const wanted = this.newMissing > 0 ? this.newMissing + BEFORE_NEW_EVENTS : 0;
      const limit = Math.min(Math.max(wanted, HISTORY_PAGE_EVENTS), CATCH_UP_PAGE_EVENTS);
      const page = await this.context.api.events(this.id, at, limit, signal);
      if (signal.aborted) return;
      this.merge(page);
      this.history.value = "idle";
      this.olderFailures = 0;
    } catch {
      if (!signal.aborted) this.loadOlderLater();
    }
  }

  private loadOlderLater(): void {
    this.history.value = "failed";
    this.olderFailures += 1;
    this.cancelOlder = this.context.after(resendDelay(this.olderFailures, Math.random()), () => void this.loadOlder());
  }

  /**
   * Has the list go to an event, wherever in the history it is, with what is around it. What is held stays where it joins
   * that; else the run begins anew there, and goes on in both directions as the reader does. Returns whether there is such
   * an event; null, and nothing changes, where the reader went elsewhere meanwhile.
   */
  goTo(number: number): Promise<boolean | null> {
    return this.goWhere(() => number);
  }

  /** The same to a message, by its id. Throws `InThread` where it stands in a thread alone. */
  goToMessage(message: string): Promise<boolean | null> {
    return this.goWhere(async () => {
      const found = this.timeline.find(message) ?? (await this.context.api.message(this.id, message));
      if (found.thread !== undefined && !isInRoom(found)) throw new InThread(found.thread, found.number);
      return found.number;
    });
  }

  private async goWhere(find: () => number | Promise<number>): Promise<boolean | null> {
    this.stopGoing();
    const going: { reading: AbortController | null } = (this.going = { reading: null });
    const isOver = (): boolean => this.going !== going;
    try {
      const number = await find();
      if (isOver()) return null;
      this.reachingNew = null;
      // With what brings it: in between the list would go on as before.
      const show = (): void => {
        this.going = null;
        this.target.value = number;
        this.opening.value = false;
      };
      if (this.timeline.at(number)) {
        show();
        return true;
      }
      const reached = this.reach(number, show);
      going.reading = this.readingOlder;
      return await reached;
    } catch (error) {
      if (isOver()) return null;
      throw error;
    } finally {
      if (!isOver()) this.going = null;
    }
  }

  // Null where it was given up.
  private async reach(number: number, reached: () => void = () => undefined): Promise<boolean | null> {
    const { timeline } = this;
    this.readingOlder?.abort();
    this.cancelOlder?.();
    this.history.value = "loading";
    const { signal } = (this.readingOlder = new AbortController());
    try {
      const page = await this.context.api.events(this.id, { before: number + AFTER_TARGET_EVENTS + 1 }, HISTORY_PAGE_EVENTS, signal);
      if (signal.aborted) return null;
      const [start, end] = [page.events[0], page.events.at(-1)];
      if (!start || !end || number < start.number || number > end.number) return false;
      const joins = timeline.positioned && start.number <= timeline.last + 1 && end.number >= timeline.first - 1;
      if (!joins && !timeline.isForeign(page)) {
        this.stopCatchingUp();
        const heard = timeline.newest;
        this.restart();
        this.wanted = null;
        this.place = { from: start.number, to: end.number };
        this.behind.value = Math.max(heard, page.offset) - end.number > CATCH_UP_EVENTS_MAX;
        // What was heard while the page was read may have changed something in it, and is not read now.
        this.stale = this.behind.value && heard > page.offset ? this.place : null;
      }
      this.merge(page);
      if (timeline.at(number) === undefined) return false;
      reached();
      return true;
    } finally {
      if (!signal.aborted) this.history.value = "idle";
    }
  }

  /** Reads history until the first new message is here; stops at what is too far for reading one by one. */
  async loadNew(): Promise<void> {
    const { timeline } = this;
    while (this.newMissing > 0 && timeline.last - timeline.first < CATCH_UP_EVENTS_MAX) {
      const before = timeline.first;
      await this.loadOlder();
      if (timeline.first === before) return;
    }
  }

  /** How many messages are new since the last look. */
  countNew(): Unread {
    return this.countAfter(this.newAfter.peek() ?? Infinity);
  }

  async refreshPresence(): Promise<void> {
    try {
      const connections = await this.context.live.presence(this.id);
      this.changePresence(() => this.presence.reset(connections));
    } catch {
      // Not connected: the next subscription asks again.
    }
  }

  /** The outbox changed what waits in this room. */
  changed(): void {
    if (this.changePending) return;
    this.changePending = true;
    this.context.nextFrame(() => {
      this.changePending = false;
      this.version.value += 1;
    });
  }

  /** Who wrote what is held, the latest first, as many as are asked for at once. */
  authors(): string[] {
    const all = this.timeline.events.flatMap((event) => event.message?.author.id ?? []).reverse();
    return [...new Set(all)].slice(0, PROFILES_READ_MAX);
  }

  /** Frees what a reader at the end does not need. */
  trim(): void {
    this.timeline.keepLast(TIMELINE_EVENTS_MAX);
  }

  private subscribed(offset: number, epoch: string): void {
    const unheard = offset > this.timeline.newest;
    const renewed = this.timeline.subscribed(offset, epoch);
    if (renewed) this.startAnew(offset);
    else if (unheard && this.behind.peek()) this.readPlaceAgain();
    if (renewed) void this.loadOlder();
    // What came between the list of rooms and the subscription is in neither.
    const { offset: counted } = this.reading.counted.peek();
    if (this.timeline.first - 1 > Math.max(counted, this.reading.number.peek())) this.context.miscounted();
    // What was under way on the link before may never be answered.
    this.stopCatchingUp();
    this.catchUp();
    // Whether the other is here stands beside their name among the rooms.
    if (this.entered || isDirect(this.info.peek())) void this.refreshPresence();
    this.changed();
  }

  private event(event: RoomEvent): void {
    const before = event.message && this.timeline.find(event.message.id);
    const isNew = this.timeline.live(event);
    if (isNew && this.concernsMe(event)) this.context.concerned();
    if (isNew && !before) this.recount(event);
    if (isNew) this.context.happened(event);
    if (this.place === null && this.timeline.events.length > TIMELINE_EVENTS_MAX + CATCH_UP_PAGE_EVENTS) this.trim();
    this.afterEvents([event]);
    this.catchUp();
    if (isNew && event.type === "message.posted" && event.message?.author.id !== this.context.me.id) {
      if (mentionsPerson(event.message?.content, this.context.me.id) === "here") this.heardLive.add(event.number);
      this.context.heard(this, event);
    }
  }

  // One at a time: whoever finds that something is missing while it is being read, or while the next attempt waits for
  // its time, has nothing to add.
  private catchUp(): void {
    this.lookBehind();
    if (this.catchingUp || this.cancelRetry || this.closed || !this.nextMissing()) return;
    const reading = new AbortController();
    this.catchingUp = reading;
    this.readMissing(reading.signal).then(
      () => this.readingEnded(reading, false),
      () => this.readingEnded(reading, true),
    );
  }

  private readingEnded(reading: AbortController, failed: boolean): void {
    if (this.catchingUp !== reading) return; // given up meanwhile
    this.catchingUp = null;
    this.failures = failed ? this.failures + 1 : 0;
    if (!failed) {
      this.catchUp();
      return;
    }
    this.cancelRetry = this.context.after(resendDelay(this.failures, Math.random()), () => {
      this.cancelRetry = null;
      this.catchUp();
    });
  }

  private stopCatchingUp(): void {
    this.catchingUp?.abort();
    this.catchingUp = null;
    this.cancelRetry?.();
    this.cancelRetry = null;
  }

  // Reads what is missing, page by page, until the run reaches everything known to exist. A live event meanwhile
  // waits in the timeline. What to read is looked at anew before each page, because reader and link change it.
  private async readMissing(signal: AbortSignal): Promise<void> {
    for (let at = this.nextMissing(); at; at = this.nextMissing()) {
      const page = await this.context.api.events(this.id, at.query, at.limit, signal);
      if (signal.aborted) return;
      const { last } = this.timeline;
      if (at.what === "newest") {
        if (this.nextMissing()?.what !== "newest") continue; // the reader went up meanwhile, or the gap is gone
        // What is held goes only for a page that takes its place.
        if (!this.timeline.isForeign(page)) this.restart();
      }
      this.merge(page);
      if (at.what === "stale") this.refreshed(page);
      else if (this.timeline.last === last) throw new Error("the server does not give what it announced");
    }
  }

  private restart(): void {
    this.timeline.restart();
    void this.thread?.load(true);
  }

  /**
   * The next page to read; null when nothing is missing, or nothing that the reader wants. After a very long absence the
   * room starts again at its newest page: still no hole, because what lies before that page is read when scrolling up.
   * A reader who is further up would lose their place: for them the run stays, and goes on when they come to its end.
   */
  private nextMissing(): { what: "stale" | "newest" | "next"; query: { after?: number }; limit: number } | null {
    const { gap } = this.timeline;
    if (this.stale) return { what: "stale", query: { after: this.stale.from - 1 }, limit: CATCH_UP_PAGE_EVENTS };
    if (!gap) return null;
    const next = { what: "next", query: { after: gap.after }, limit: CATCH_UP_PAGE_EVENTS } as const;
    if (gap.upTo - gap.after <= CATCH_UP_EVENTS_MAX) return next;
    if (!this.place) return { what: "newest", query: {}, limit: HISTORY_PAGE_EVENTS };
    return this.wanted !== null && this.wanted >= gap.after ? next : null;
  }

  private lookBehind(): void {
    const { gap } = this.timeline;
    const behind = gap !== null && this.place !== null && gap.upTo - gap.after > CATCH_UP_EVENTS_MAX;
    if (this.behind.peek() === behind) return;
    this.stale = null;
    this.wanted = null;
    if (behind) {
      this.readPlaceAgain();
      void this.thread?.load(true);
    }
    this.behind.value = behind;
    this.changed();
  }

  // An edit or a deletion of what the reader sees may be among what was missed and is not read: the place is read again,
  // and what is held around it is dropped, to be read again as well when the reader comes to it.
  private readPlaceAgain(): void {
    if (!this.place) return;
    this.timeline.keep(this.place.from, this.place.to);
    this.stale = { from: this.timeline.first, to: this.timeline.last };
  }

  private refreshed(page: EventsPage): void {
    const end = page.events.at(-1);
    const { stale } = this;
    this.stale = stale && end && end.number < stale.to ? { from: end.number + 1, to: stale.to } : null;
  }

  private merge(page: EventsPage): void {
    const outcome = this.timeline.page(page);
    if (outcome === "foreign") throw new Error("a page of other numbers than the subscription's");
    if (outcome === "renewed") this.startAnew(page.offset);
    this.afterEvents(page.events);
    this.catchUp();
  }

  // The room's numbers mean something else than before: it was restored from a backup.
  private startAnew(offset: number): void {
    this.readingOlder?.abort();
    this.cancelOlder?.();
    this.history.value = "idle";
    this.stale = null;
    this.wanted = null;
    this.place = null;
    this.newAfter.value = null;
    this.opening.value = false;
    // How far this person has read it then comes with the list of rooms.
    this.reading.restart(offset);
    this.context.miscounted();
    void this.thread?.load(true);
    this.context.outbox.renewed(this.id);
    this.heardLive.clear();
    this.renewals.value += 1;
    this.lookBehind();
  }

  private afterEvents(events: readonly RoomEvent[]): void {
    batch(() => {
      for (const event of events) {
        if (event.type.startsWith("member.")) this.membership.value += 1;
        this.applyToInfo(event);
        if (event.type === "member.joined" && event.member?.id !== this.context.me.id) this.othersSeen.value = true;
        this.reactions.told(event);
        this.thread?.heard(event);
        if (event.type === "message.restored" && event.message) void this.askForReactions(event.message.id);
        const message = event.type === "message.posted" ? event.message : undefined;
        if (!message) continue;
        if (message.author.id === this.context.me.id) this.context.outbox.arrived(message.client_id);
        this.typists.stopped(message.author.id);
      }
      for (const root of this.timeline.takeDoubted()) void this.askAgain(root);
      this.context.outbox.caughtUp(this.id, this.timeline.last);
      this.showTyping();
      this.changed();
    });
  }

  // What comes back was read while it was deleted, and so without what was reacted to it.
  private async askForReactions(message: string): Promise<void> {
    if (this.timeline.reactions(message) === null) await this.askAgain(message);
  }

  // What belongs to a message, and events do not tell all of.
  private async askAgain(message: string): Promise<void> {
    const asOf = this.timeline.newest;
    const found = await this.context.api.message(this.id, message).catch(() => null);
    if (found) this.timeline.read(found, asOf);
    this.changed();
  }

  // What is known of the room was read at one moment; what happened later changes it.
  private applyToInfo(event: RoomEvent): void {
    const info = this.info.peek();
    if (event.number <= info.offset) return;
    if (event.room) this.info.value = { ...changed(info, event.room), offset: event.number };
    const role = event.type === "member.promoted" ? "owner" : event.type === "member.demoted" ? "member" : null;
    if (role && event.member?.id === this.context.me.id) this.info.value = { ...info, role, offset: event.number };
  }

  // Of what is shown, at that version of it, and of what is known to be there.
  private newestAt(version: number): number {
    return version < 0 ? 0 : Math.max(this.info.value.offset, this.timeline.last);
  }

  private asListed(): Listed {
    const { info } = this;
    const calls = computed(() => this.calling.value.count > 0 || this.calling.value.more || this.mentioned.value > 0);
    const last = computed(() => Math.max(info.value.last_message ?? 0, this.lastPosted(this.version.value)));
    return {
      get favourite() {
        return info.value.favourite ?? false;
      },
      get section() {
        return info.value.section ?? "";
      },
      get direct() {
        return isDirect(info.value);
      },
      get unread() {
        return calls.value;
      },
      get last() {
        return last.value;
      },
    };
  }

  private lastPosted(version: number): number {
    const { timeline } = this;
    for (let number = timeline.last; version >= 0 && number >= timeline.first; number--) {
      const event = timeline.at(number);
      if (event?.type === "message.posted" && event.message && isInRoom(event.message)) return event.time;
    }
    return 0;
  }

  // The outbox tells of its changes by that version.
  private unsentAt(version: number): number {
    return version < 0 ? 0 : this.context.outbox.in(this.id).length;
  }

  private heardTyping(person: PersonRef): void {
    if (person.id === this.context.me.id) return;
    this.typists.started(person, Date.now());
    this.showTyping();
  }

  private showTyping(): void {
    const now = Date.now();
    const people = this.typists.people(now);
    const same = people.length === this.typing.peek().length && people.every((person, i) => person.id === this.typing.peek()[i]?.id);
    if (!same) this.typing.value = people;
    clearTimeout(this.typingTimer);
    const fadesIn = this.typists.fadesIn(now);
    if (fadesIn !== null) this.typingTimer = setTimeout(() => this.showTyping(), fadesIn + 1);
  }

  private changePresence(change: () => void): void {
    change();
    this.here.value = this.presence.people();
  }

  /** New events that are older than everything held. */
  private get newMissing(): number {
    const newAfter = this.newAfter.peek();
    const { timeline } = this;
    const from = timeline.positioned ? timeline.first : this.info.peek().offset + 1;
    return newAfter === null ? 0 : Math.max(0, from - 1 - newAfter);
  }

  private get hasUnread(): boolean {
    const { count, more } = this.unread.peek();
    return count > 0 || more;
  }

  // What is here is counted here; of what is not, the server has counted how much there is.
  private countUnread(_version: number, read: number, counted: Counted): Unread {
    const { timeline } = this;
    if (timeline.positioned && timeline.first <= read + 1) return this.countAfter(read);
    const held = this.countOfOthers(Math.max(counted.offset, read));
    const more = counted.unread >= UNREAD_COUNTED_MAX || this.behind.value;
    return { count: counted.unread + held, more };
  }

  // As what is unread. Whether this person listened when those who do were mentioned shows in what was heard.
  private countMentions(_version: number, read: number, counted: Counted): number {
    const { timeline } = this;
    const isHere = timeline.positioned && timeline.first <= read + 1;
    const from = isHere ? read : Math.max(counted.offset, read);
    let count = 0;
    for (let number = Math.max(from + 1, timeline.first); number <= timeline.last; number++) {
      if (this.isOfOthers(number) && this.mentionsMe(number)) count += 1;
    }
    return count + (isHere ? 0 : counted.mentions);
  }

  // A mention, an answer, or what became of one; a reaction to what this person wrote, as far as that is here.
  private concernsMe({ type, message, reaction }: RoomEvent): boolean {
    const me = this.context.me.id;
    if (reaction) return (this.timeline.find(reaction.message)?.author.id ?? me) === me;
    if (!message) return false;
    const isNamed = mentionsPerson(message.content, me) !== null || message.reply_to?.author.id === me;
    return isNamed || (type !== "message.posted" && type.startsWith("message."));
  }

  private mentionsMe(number: number): boolean {
    const event = this.timeline.at(number);
    const how = event && mentionsPerson(this.timeline.message(event)?.content, this.context.me.id);
    return how === "name" || how === "room" || (how === "here" && this.heardLive.has(number));
  }

  private countAfter(read: number): Unread {
    const { timeline } = this;
    const from = timeline.positioned ? timeline.first : this.info.peek().offset + 1;
    return { count: this.countOfOthers(read), more: read < from - 1 || this.behind.value };
  }

  private countOfOthers(after: number): number {
    let count = 0;
    for (let number = Math.max(after + 1, this.timeline.first); number <= this.timeline.last; number++) {
      if (this.isOfOthers(number)) count += 1;
    }
    return count;
  }

  private nextOfOthers(after: number): number | null | undefined {
    const { timeline, reading } = this;
    if (!timeline.positioned) return undefined;
    if (after + 1 < timeline.first) {
      const { unread, offset } = reading.counted.peek();
      if (unread > 0 || offset < timeline.first - 1) return undefined;
    }
    for (let number = Math.max(after + 1, timeline.first); number <= timeline.last; number++) {
      if (this.isOfOthers(number)) return number;
    }
    return null;
  }

  /** Whether the event is a message of somebody else that stands. */
  private isOfOthers(number: number): boolean {
    const event = this.timeline.at(number);
    if (event?.type !== "message.posted" || event.message?.author.id === this.context.me.id) return false;
    const message = this.timeline.message(event);
    return message !== undefined && message.deleted === undefined && isInRoom(message);
  }

  // Of a message that is not here, but is among those that the server has counted.
  private recount({ type, message }: RoomEvent): void {
    if (!message || message.author.id === this.context.me.id || !isInRoom(message)) return;
    const { counted, number } = this.reading;
    const isCounted = message.number > number.peek() && message.number <= counted.peek().offset;
    // What it said is not known here.
    if (isCounted && (counted.peek().mentions > 0 || type !== "message.deleted")) this.context.miscounted();
    if (isCounted && type === "message.deleted") this.reading.recount(-1);
    if (isCounted && type === "message.restored") this.reading.recount(1);
  }
}
