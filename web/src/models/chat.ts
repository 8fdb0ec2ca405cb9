/** A signed-in person's chat: the rooms, the one that is open, the outbox and the live connection that serve them all. */
import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { ApiError, type Api, type ProfileEdit, type RoomEdit } from "../api.ts";
import { ANNOUNCE_EVERY_MS, DELETE_UNDO_MS, ENDED_REFRESH_MS, NOTICE_SHOWN_MS, RECONNECTING_SHOWN_AFTER_MS, ROOMS_WITHOUT_CONNECTION_MS } from "../limits.ts";
import { Live } from "../live.ts";
import { strings } from "../strings.ts";
import type { Answered, Invite, Person, PersonRef, Profile, Role, RoomEvent, RoomInfo } from "../wire.ts";
import { announcement, type Heard } from "./announcer.ts";
import type { Undoable } from "./changes.ts";
import { plainText } from "./content.ts";
import { withRecent } from "./emoji.ts";
import { Outbox, resendDelay, type Hindrance, type UnsentStore } from "./outbox.ts";
import { Attendance } from "./attention.ts";
import { byName } from "./presence.ts";
import { Idle } from "./idle.ts";
import { isArchived, isDirect, partner, shownTo } from "./kinds.ts";
import { People } from "./people.ts";
import { describe } from "./problems.ts";
import { changesOfReading } from "./reading.ts";
import { Room } from "./room.ts";
import type { Settings } from "./settings.ts";

export type ChatOptions = {
  me: Person;
  api: Api;
  websocketUrl: string;
  version: string;
  store: UnsentStore;
  settings: Settings;
  /** The session may have ended. */
  doubt: () => void;
};

/** What the invite card shows, and for which room. */
export type Welcome = {
  room: string;
  invite: Invite | null;
  /** Whether it greets the one who set the server up. */
  first: boolean;
  /** How often it was asked for; each time it takes the focus. */
  asked: number;
};

export class Chat {
  readonly me: Person;
  readonly live: Live;
  readonly outbox: Outbox;
  readonly settings: Settings;
  /** Rooms this person is in, by name. */
  readonly joined = signal<readonly Room[]>([]);
  /** Those of them that are listed as rooms, and as direct messages: what is archived or blank is not, unless it is open or something waits there. */
  readonly shown: ReadonlySignal<{ rooms: readonly Room[]; directs: readonly Room[] }>;
  /** What this person may do on the server. */
  readonly role;
  /** Rooms that can be joined, by name, the joined ones among them: all that were ever asked for. */
  readonly known = signal<readonly RoomInfo[]>([]);
  /** The room after which there are more to know; null when all are known. */
  readonly moreAfter = signal<string | null>(null);
  /** Whether there are rooms that only a further page has, or had. */
  readonly inPages = signal(false);
  /** Whether the first list of rooms has come. */
  readonly ready = signal(false);
  /** The id of the open room; null when there is none. */
  readonly open = signal<string | null>(null);
  readonly room: ReadonlySignal<Room | null>;
  readonly welcome = signal<Welcome | null>(null);
  /** What has kept the server from taking messages, for long enough to say so. */
  readonly hindrance = signal<Hindrance | null>(null);
  /** What a screen reader is told, in turn. */
  readonly spoken = signal("");
  /** What was just done, or did not work, in words. */
  readonly notice = signal<string | null>(null);
  /** The last deletion that can be taken back. */
  readonly undo = signal<Undoable | null>(null);
  /** What is known of people beside their messages. */
  readonly people: People;
  /** The address that this person signs in with. */
  readonly email: Signal<string>;
  private readonly idle: Idle;
  readonly unreadElsewhere: ReadonlySignal<boolean>;
  readonly unreadTotal: ReadonlySignal<number>;
  /** Whether somebody is there and looks. */
  readonly attendance: Attendance;

  private readonly api: Api;
  /** The message to show in the open room once this person is in it. */
  private wanted: string | null = null;
  private heard: Heard[] = [];
  private speakTimer: ReturnType<typeof setTimeout> | undefined;
  private wasLost = false;
  private refreshing: Promise<void> | null = null;
  private refreshAgain = false;
  private readingRooms: AbortController | null = null;
  /** The last room of the pages that were asked for. */
  private knownTo: RoomInfo | null = null;
  /** The rooms are asked for when this runs out, unless something asks before. */
  private roomsTimer: ReturnType<typeof setTimeout> | undefined;
  private roomsFailures = 0;
  private listed: () => void = () => undefined;
  private closed = false;
  private unwatchDrafts: () => void = () => undefined;
  /** What keeps the server from taking messages, and the timer after which that is said. */
  private hinderedBy: Hindrance | null = null;
  private unsayHindrance: (() => void) | null = null;
  private forgetUndo: (() => void) | null = null;
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();
  /** Counts what this page itself did to the rooms, so that an older list cannot undo it. */
  private ownChanges = 0;

  constructor(options: ChatOptions) {
    this.me = options.me;
    this.role = signal<Role>(options.me.role);
    this.email = signal(options.me.email);
    this.people = new People({
      ask: options.api.profiles,
      now: () => Date.now(),
      after: (delay, task) => this.later(delay, task),
      changed: () => this.joined.peek().forEach((room) => room.changed()),
    });
    this.api = options.api;
    this.settings = options.settings;
    this.live = new Live(options.websocketUrl, options.version, {
      connected: () => this.connected(),
      lost: () => {
        this.wasLost = true;
        this.outbox.connected(false);
      },
      doubt: () => {
        options.doubt();
        if (!this.ready.peek()) this.refreshRoomsIn(0);
      },
      rooms: (told) => this.heardOfThemselves(told),
      read: (where) => this.find(where.id)?.reading.told(where),
      person: (profile) => this.heardOf(profile),
      account: options.doubt,
    });
    this.outbox = new Outbox({
      person: options.me.id,
      store: options.store,
      send: this.live.post,
      changed: (room) => this.outboxChanged(room),
      reached: (room) => this.find(room)?.timeline.last ?? 0,
      hindered: (why) => this.hindered(why),
      after: (delay, task) => this.later(delay, task),
    });
    this.idle = new Idle({ now: () => Date.now(), after: (delay, task) => this.later(delay, task), tell: this.live.idle });
    this.attendance = new Attendance(
      () => Date.now(),
      (delay, task) => this.later(delay, task),
    );
    this.room = computed(() => this.joined.value.find((room) => room.id === this.open.value) ?? null);
    this.shown = computed(() => {
      const isOpen = (room: Room): boolean => room.id === this.open.value;
      const shown = this.joined.value.filter((room) => isOpen(room) || room.waits.value || (!isArchived(room.info.value) && !room.blank.value));
      return {
        rooms: shown.filter((room) => !isDirect(room.info.value)),
        directs: shown.filter((room) => isDirect(room.info.value)),
      };
    });
    const all = computed(() => [...this.shown.value.rooms, ...this.shown.value.directs]);
    this.unreadElsewhere = computed(() =>
      all.value.some((room) => room.id !== this.open.value && (room.unread.value.count > 0 || room.unread.value.more)),
    );
    this.unreadTotal = computed(() => all.value.reduce((sum, room) => sum + room.unread.value.count, 0));
  }

  /** Connects; done when the first list of rooms has come. */
  start(): Promise<void> {
    const listed = new Promise<void>((resolve) => (this.listed = resolve));
    // The rooms are asked for once the connection stands, so that nothing falls between the list and what is told of
    // changes. A connection that fails, or does not come, must not hide them.
    this.refreshRoomsIn(ROOMS_WITHOUT_CONNECTION_MS);
    this.live.connect();
    this.unwatchDrafts = this.settings.watchDrafts((room, draft) => {
      const held = this.find(room);
      if (!held) return;
      held.draft.value = draft;
      held.replyTo.value = this.settings.answered(room);
    });
    void this.outbox.restore();
    return listed;
  }

  close(): void {
    this.closed = true;
    this.unwatchDrafts();
    clearTimeout(this.speakTimer);
    clearTimeout(this.roomsTimer);
    for (const timer of this.timers) clearTimeout(timer);
    this.readingRooms?.abort();
    this.people.close();
    this.idle.close();
    this.leaveRead();
    for (const room of this.joined.peek()) room.close();
    this.live.close();
  }

  find(id: string): Room | null {
    return this.joined.peek().find((room) => room.id === id) ?? null;
  }

  /** Opens a room, whether joined or not: what is not joined shows how to join. With a message, at that one. */
  go(id: string | null, message: string | null = null): void {
    this.room.peek()?.leave();
    const wasOpen = this.open.peek();
    this.open.value = id;
    this.wanted = message ?? (id === wasOpen ? this.wanted : null);
    const room = this.room.peek();
    if (!room) return;
    this.settings.lastRoom = room.id;
    room.enter();
    if (this.wanted !== null) void this.show(room, this.wanted);
    this.wanted = null;
  }

  /** Shows what stands under a number, wherever in the room's history it is. */
  async showNumber(room: Room, number: number): Promise<void> {
    try {
      if ((await room.goTo(number)) === false) this.tell(strings.room.noSuchMessage);
    } catch (error) {
      this.fail(error);
    }
  }

  /** What is written in the room next answers this; null when it answers nothing. Kept with the draft. */
  answer(room: Room, answered: Answered | null): void {
    room.replyTo.value = answered;
    this.settings.saveAnswered(room.id, answered);
  }

  /** Puts a reaction under a message, or takes it away. */
  async react(room: Room, message: string, emoji: string, stands: boolean): Promise<void> {
    if (stands) this.settings.recentEmoji = withRecent(this.settings.recentEmoji, emoji);
    try {
      await room.reactions.set(message, emoji, stands);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Shows a message in its place, wherever in the room's history that is. */
  async show(room: Room, message: string): Promise<void> {
    try {
      if ((await room.goToMessage(message)) === false) this.tell(strings.room.noSuchMessage);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) this.tell(strings.room.noSuchMessage);
      else this.fail(error);
    }
  }

  /** Where to go when no room is asked for: the last one, else the oldest, which is where everybody is. */
  get home(): string | null {
    const last = this.settings.lastRoom;
    if (last && this.find(last)) return last;
    const [oldest] = [...this.joined.peek()].sort((a, b) => a.info.peek().created - b.info.peek().created);
    return oldest?.id ?? null;
  }

  async create(name: string, topic: string, hidden = false): Promise<RoomInfo> {
    const info = await this.api.createRoom(name, topic, hidden);
    this.adopt({ ...info, member: true });
    return info;
  }

  /** Changes a room, which shows it at once here and by an event everywhere. */
  async editRoom(id: string, edit: RoomEdit): Promise<void> {
    const info = await this.api.editRoom(id, edit);
    const room = this.find(id);
    if (room) room.info.value = info;
    this.known.value = this.known.peek().map((known) => (known.id === id ? info : known));
  }

  /** The direct message with these people, which is there from now on. */
  async startDirect(people: readonly string[]): Promise<RoomInfo> {
    const info = await this.api.startDirect(people);
    this.adopt(info);
    return info;
  }

  /** Asks for more rooms that can be joined. */
  async knowMore(): Promise<void> {
    const after = this.moreAfter.peek();
    if (after === null) return;
    const { rooms, more } = await this.api.rooms(after);
    if (after !== this.moreAfter.peek()) return;
    const fresh = new Set(rooms.map((room) => room.id));
    this.known.value = [...this.known.peek().filter((room) => !fresh.has(room.id)), ...rooms].sort(byName);
    this.moreAfter.value = more ? (rooms.at(-1)?.id ?? null) : null;
    this.knownTo = rooms.at(-1) ?? this.knownTo;
  }

  /** Goes through the rooms from the beginning: those that came up since then are on the pages that follow. */
  browse(): Promise<void> {
    this.knownTo = null;
    return this.refreshRooms();
  }

  /** A room that is asked for by its address and was not among those that came. */
  async lookFor(id: string): Promise<void> {
    const info = await this.api.room(id).catch(() => null);
    if (info && !this.known.peek().some((room) => room.id === id)) this.known.value = [...this.known.peek(), info].sort(byName);
  }

  async join(id: string): Promise<RoomInfo> {
    const info = await this.api.join(id);
    this.adopt({ ...info, member: true });
    return info;
  }

  async leave(id: string): Promise<void> {
    await this.api.leave(id);
    this.forget(id);
    void this.refreshRooms();
  }

  /** A room this person just got into: it is there at once, before the list is asked for again. */
  adopt(got: RoomInfo): void {
    const info = shownTo(this.me, got);
    this.ownChanges += 1;
    this.known.value = [...this.known.peek().filter((other) => other.id !== info.id), info].sort(byName);
    this.setJoined([...this.joined.peek().map((room) => room.info.peek()).filter((other) => other.id !== info.id), info]);
  }

  /** Asks for the rooms. Requests that come together are answered together. */
  refreshRooms(): Promise<void> {
    clearTimeout(this.roomsTimer);
    if (this.refreshing) {
      this.refreshAgain = true;
      return this.refreshing;
    }
    if (this.closed) return Promise.resolve();
    this.refreshing = this.readRooms().finally(() => {
      this.refreshing = null;
      if (!this.refreshAgain || this.closed) return;
      this.refreshAgain = false;
      void this.refreshRooms();
    });
    return this.refreshing;
  }

  /** Shows the invite card of a room; the card asks for the invite. */
  showInvite(room: string): void {
    this.welcome.value = { room, invite: null, first: false, asked: (this.welcome.peek()?.asked ?? 0) + 1 };
  }

  /** Greets the one who set the server up, until the card is dismissed or somebody joins, also across reloads. */
  greet(room: string, invite: Invite | null): void {
    this.settings.welcome = room;
    this.welcome.value = { room, invite, first: true, asked: 0 };
  }

  dismissInvite(): void {
    this.settings.welcome = null;
    this.welcome.value = null;
  }

  /** Everything in all rooms is read. */
  async markAllRead(): Promise<void> {
    for (const room of this.joined.peek()) room.reading.all();
    try {
      const { rooms } = await this.api.readAll();
      for (const where of rooms) this.find(where.id)?.reading.told(where);
      const open = this.room.peek();
      if (open) open.newAfter.value = null;
      this.say(strings.announce.allRead);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Tells the server what was read, without waiting for more. */
  tellRead(): void {
    for (const room of this.joined.peek()) room.reading.send();
  }

  /** The page goes away: what the server does not know yet goes along by a way that outlives it. */
  leaveRead(): void {
    for (const room of this.joined.peek()) {
      const unsent = room.reading.takeUnsent();
      if (unsent) this.api.read(room.id, unsent.number, unsent.unread).catch(() => undefined);
    }
  }

  /** Tells a screen reader, after what was said before. */
  say(words: string): void {
    this.spoken.value = "";
    this.later(50, () => (this.spoken.value = words));
  }

  /** The person did something: a key, a pointer, a finger. */
  acted(): void {
    this.attendance.acted();
    this.idle.acted();
  }

  /** Changes what this person says of themselves. */
  async editProfile(edit: ProfileEdit): Promise<void> {
    this.heardOf(await this.api.editProfile(edit));
  }

  /** Somebody says something else of themselves, or has another name. */
  heardOf(profile: Profile): void {
    this.people.told(profile);
    // A direct message is called by the names of those in it, as the server puts them together.
    const inName = (person: PersonRef): boolean => person.id === profile.id && person.name !== this.people.present(person).name;
    if (this.joined.peek().some((room) => room.info.peek().people?.some(inName))) void this.refreshRooms();
  }

  // What happened to this person, by their own hand elsewhere or by somebody else's.
  private heardOfThemselves(told: unknown): void {
    const { type, person } = (told ?? {}) as { type?: string; person?: { role?: Role } };
    if (type === "role.changed" && person?.role) this.role.value = person.role;
    void this.refreshRooms();
  }

  private connected(): void {
    if (this.wasLost) this.say(strings.announce.reconnected);
    this.wasLost = false;
    this.outbox.connected(true);
    this.idle.connected();
    this.people.refresh([this.me.id, ...(this.room.peek()?.authors() ?? [])]);
    this.tellRead();
    // What was under way on the link before may never be answered.
    this.readingRooms?.abort();
    void this.refreshRooms();
  }

  private async readRooms(): Promise<void> {
    const [ownChanges, changesOfRead] = [this.ownChanges, changesOfReading()];
    this.readingRooms = new AbortController();
    try {
      const page = await this.api.rooms(undefined, this.readingRooms.signal);
      const { more } = page;
      const rooms = page.rooms.map((room) => shownTo(this.me, room));
      if (this.closed) return;
      if (ownChanges !== this.ownChanges) {
        this.refreshAgain = true;
        return;
      }
      this.know(rooms, more ? (rooms.at(-1) ?? null) : null);
      this.setJoined(rooms.filter((room) => room.member));
      this.people.want([this.me.id, ...rooms.flatMap((room) => partner(room)?.id ?? [])]);
      for (const info of rooms) this.find(info.id)?.reading.listed(info, changesOfRead);
      if (!this.ready.peek()) this.greetAgain();
      this.ready.value = true;
      this.roomsFailures = 0;
      this.listed();
    } catch (error) {
      if (this.closed) return;
      if (error instanceof ApiError && error.status === 401) return; // `doubt` looks after it
      this.roomsFailures += 1;
      this.refreshRoomsIn(resendDelay(this.roomsFailures, Math.random()));
    }
  }

  /** The first page, with the last room on it if there are more: what was asked for beyond it stays known. */
  private know(rooms: readonly RoomInfo[], last: RoomInfo | null): void {
    this.inPages.value = last !== null;
    if (!last) {
      this.knownTo = null;
      this.moreAfter.value = null;
      this.known.value = [...rooms].sort(byName);
      return;
    }
    const fresh = new Set(rooms.map((room) => room.id));
    const beyond = this.known.peek().filter((room) => !fresh.has(room.id) && inPageOrder(room, last) > 0);
    // One's own rooms are all on the first page.
    this.known.value = [...rooms, ...beyond.map((room) => (room.member ? { ...room, member: false } : room))].sort(byName);
    if (this.knownTo && inPageOrder(this.knownTo, last) > 0) return;
    this.knownTo = last;
    this.moreAfter.value = last.id;
  }

  /** Runs a task after a delay in milliseconds, unless the returned function is called or the chat is closed before. */
  private later(delay: number, task: () => void): () => void {
    if (this.closed) return () => undefined;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      task();
    }, delay);
    this.timers.add(timer);
    return () => {
      this.timers.delete(timer);
      clearTimeout(timer);
    };
  }

  private refreshRoomsIn(delay: number): void {
    clearTimeout(this.roomsTimer);
    if (!this.closed) this.roomsTimer = setTimeout(() => void this.refreshRooms(), delay);
  }

  private greetAgain(): void {
    const room = this.settings.welcome;
    if (!room || this.welcome.peek()) return;
    if (this.find(room)?.company.peek() === false) this.greet(room, null);
    else this.settings.welcome = null;
  }

  private setJoined(infos: readonly RoomInfo[]): void {
    const before = new Map(this.joined.peek().map((room) => [room.id, room]));
    const rooms = infos.map((info) => {
      const room = before.get(info.id) ?? this.make(info);
      before.delete(info.id);
      room.info.value = info;
      return room;
    });
    for (const gone of before.values()) gone.close();
    const open = this.open.peek();
    const wasOpen = this.room.peek();
    this.joined.value = rooms.sort((a, b) => byName(a.info.peek(), b.info.peek()));
    const nowOpen = this.room.peek();
    if (open && nowOpen && nowOpen !== wasOpen) this.go(open);
  }

  private forget(id: string): void {
    this.ownChanges += 1;
    this.setJoined(this.joined.peek().map((room) => room.info.peek()).filter((info) => info.id !== id));
    this.known.value = this.known.peek().map((info) => (info.id === id ? { ...info, member: false } : info));
  }

  private make(info: RoomInfo): Room {
    const frames = new FrameTasks();
    const room = new Room(info, {
      me: this.me,
      api: this.api,
      live: this.live,
      outbox: this.outbox,
      read: this.live.read,
      miscounted: () => void this.refreshRooms(),
      heard: (room, event) => this.hear(room, event),
      ended: (room) => {
        this.forget(room.id);
        this.refreshRoomsIn(ENDED_REFRESH_MS);
      },
      undoable: (what) => this.showUndo(what),
      role: this.role,
      nextFrame: (task) => frames.add(task),
      after: (delay, task) => this.later(delay, task),
    });
    room.draft.value = this.settings.draft(info.id);
    room.replyTo.value = this.settings.answered(info.id);
    return room;
  }

  /** Says something for a moment. */
  tell(text: string): void {
    this.notice.value = text;
    this.later(NOTICE_SHOWN_MS, () => {
      if (this.notice.peek() === text) this.notice.value = null;
    });
  }

  /** The same of something that did not work. */
  fail(error: unknown): void {
    this.tell(describe(error));
  }

  /** Whoever has read it need not wait until it goes. */
  dismissToast(): void {
    this.notice.value = null;
    this.showUndo(null);
  }

  private showUndo(what: Undoable | null): void {
    this.forgetUndo?.();
    this.forgetUndo = null;
    this.undo.value = what;
    if (what) this.forgetUndo = this.later(DELETE_UNDO_MS, () => this.showUndo(null));
  }

  private outboxChanged(room: string): void {
    this.find(room)?.changed();
    const failed = this.outbox.in(room).some((unsent) => unsent.failure);
    if (failed && room === this.open.peek()) this.say(strings.announce.notSent);
  }

  private hindered(why: Hindrance | null): void {
    this.hinderedBy = why;
    if (why === null) {
      this.unsayHindrance?.();
      this.unsayHindrance = null;
      this.hindrance.value = null;
    } else if (this.hindrance.peek()) {
      this.hindrance.value = why;
    } else {
      this.unsayHindrance ??= this.later(RECONNECTING_SHOWN_AFTER_MS, () => (this.hindrance.value = this.hinderedBy));
    }
  }

  private hear(room: Room, event: RoomEvent): void {
    if (room.id !== this.open.peek() || !event.message || event.message.deleted) return;
    this.heard.push({ author: event.message.author.name, body: event.message.content ? plainText(event.message.content) : (event.message.body ?? "") });
    this.speakTimer ??= setTimeout(() => {
      this.speakTimer = undefined;
      this.say(announcement(this.heard));
      this.heard = [];
    }, ANNOUNCE_EVERY_MS);
  }
}

/** The order in which the server gives rooms page by page: by name, of which only A to Z are the same in both cases. */
function inPageOrder(a: RoomInfo, b: RoomInfo): number {
  const key = (room: RoomInfo): number[] =>
    Array.from(room.name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()), (character) => character.codePointAt(0) ?? 0);
  const [left, right] = [key(a), key(b)];
  const differ = left.findIndex((character, at) => character !== right[at]);
  if (differ >= 0) return (left[differ] ?? 0) - (right[differ] ?? -1);
  return left.length - right.length || (a.id < b.id ? -1 : Number(a.id > b.id));
}

/** Runs tasks with the next frame; a page in the background has no frames, so there a timer does. */
class FrameTasks {
  private tasks: (() => void)[] = [];

  add(task: () => void): void {
    this.tasks.push(task);
    if (this.tasks.length > 1) return;
    if (document.visibilityState === "visible") requestAnimationFrame(() => this.run());
    setTimeout(() => this.run(), 200);
  }

  private run(): void {
    const tasks = this.tasks;
    this.tasks = [];
    for (const task of tasks) task();
  }
}
