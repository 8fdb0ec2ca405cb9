/** A signed-in person's chat: the rooms, the one that is open, the outbox and the live connection that serve them all. */
import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { ApiError, type Api, type ProfileEdit, type RoomEdit } from "../api.ts";
import { ANNOUNCE_EVERY_MS, DELETE_UNDO_MS, ENDED_REFRESH_MS, NOTICE_SHOWN_MS, RECONNECTING_SHOWN_AFTER_MS, ROOMS_WITHOUT_CONNECTION_MS } from "../limits.ts";
import { Live } from "../live.ts";
import { strings } from "../strings.ts";
import type { Answered, Invite, Member, Message, Person, PersonRef, Preferences, Profile, Role, RoomEvent, RoomInfo, RoomPreferences } from "../wire.ts";
import { Activities } from "./activity.ts";
import { announcement, type Heard } from "./announcer.ts";
import type { Changes, Undoable } from "./changes.ts";
import { plainText } from "./content.ts";
import { withRecent } from "./emoji.ts";
import { HERE, labelsIn, personToken, ROOM, writtenOf, type Name } from "./mentions.ts";
import { Outbox, resendDelay, type Hindrance, type UnsentStore } from "./outbox.ts";
import { Attendance } from "./attention.ts";
import { byName } from "./presence.ts";
import { Idle } from "./idle.ts";
import { isArchived, isDirect, kept, partner, shownTo } from "./kinds.ts";
import { sections, type Order, type Section } from "./listing.ts";
import { People } from "./people.ts";
import { describe } from "./problems.ts";
import { changesOfReading } from "./reading.ts";
import { isInRoom } from "./replies.ts";
import { InThread, Room } from "./room.ts";
import type { Settings } from "./settings.ts";
import type { Thread } from "./thread.ts";
import { Threads } from "./threads.ts";

export type ChatOptions = {
  me: Person;
  api: Api;
  websocketUrl: string;
  version: string;
  store: UnsentStore;
  settings: Settings;
  /** The session may have ended. */
  doubt: () => void;
  /** Changes the address, and shows what it stands for; with `replace` in the place of the one before. */
  navigate?: (path: string, replace?: boolean) => void;
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
  /** Those of them that are listed, in the order of the list: what is archived or blank is not, unless it is open or something waits there. */
  readonly shown: ReadonlySignal<readonly Room[]>;
  /** The same under their headings. */
  readonly sections: ReadonlySignal<readonly Section<Room>[]>;
  /** In which order they stand there. */
  readonly order;
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
  /** The thread that is open beside it. */
  readonly thread = signal<Thread | null>(null);
  /** Whether the threads that this person follows are shown in the place of a room. */
  readonly overview = signal(false);
  readonly threads: Threads;
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
  /** How many messages that wait mention this person, in all rooms. */
  readonly mentionsTotal: ReadonlySignal<number>;
  /** Whether somebody is there and looks. */
  readonly attendance: Attendance;
  /** What concerns this person. */
  readonly activity: Activities;

  private readonly api: Api;
  private readonly membersOf = new WeakMap<Room, { asOf: number; all: Promise<readonly Member[]>; here: readonly Member[] }>();
  /** The message to show in the open room once this person is in it. */
  private wanted: string | null = null;
  /** The thread to open beside it then, and the answer to show there. */
  private wantedThread: string | null = null;
  private wantedAnswer: number | null = null;
  private readonly navigate: (path: string, replace?: boolean) => void;
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
  /** The room that was gone into: not the one that is to be open as soon as it is known. */
  private entered: Room | null = null;
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
      threads: (news) => {
        this.threads.told(news);
        if (news.thread?.id === this.thread.peek()?.root && news.thread) this.thread.peek()?.told(news.thread);
        else if (!news.thread) void this.thread.peek()?.load();
      },
      preferred: (how) => this.showPreferred(how),
      person: (profile) => this.heardOf(profile),
      account: options.doubt,
    });
    this.navigate = options.navigate ?? (() => undefined);
    this.threads = new Threads({ me: options.me, api: options.api, after: (delay, task) => this.later(delay, task) });
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
    this.activity = new Activities({ api: options.api, after: (delay, task) => this.later(delay, task) });
    this.room = computed(() => this.joined.value.find((room) => room.id === this.open.value) ?? null);
    this.order = signal(options.settings.order);
    this.sections = computed(() => {
      const isOpen = (room: Room): boolean => room.id === this.open.value;
      const shown = this.joined.value.filter((room) => isOpen(room) || room.waits.value || (!isArchived(room.info.value) && !room.blank.value));
      return sections(shown, (room) => room.listed, this.order.value);
    });
    this.shown = computed(() => this.sections.value.flatMap(({ rooms }) => rooms));
    this.unreadElsewhere = computed(() =>
      this.shown.value.some(
        (room) => room.id !== this.open.value && (room.calling.value.count > 0 || room.calling.value.more || room.mentioned.value > 0),
      ),
    );
    this.mentionsTotal = computed(() => this.joined.value.reduce((sum, room) => sum + room.mentioned.value, 0));
    this.unreadTotal = computed(() => this.shown.value.reduce((sum, room) => sum + room.calling.value.count, 0));
  }

  /** Connects; done when the first list of rooms has come. */
  start(): Promise<void> {
    const listed = new Promise<void>((resolve) => (this.listed = resolve));
    // The rooms are asked for once the connection stands, so that nothing falls between the list and what is told of
    // changes. A connection that fails, or does not come, must not hide them.
    this.refreshRoomsIn(ROOMS_WITHOUT_CONNECTION_MS);
    this.live.connect();
    this.unwatchDrafts = this.settings.watchDrafts((room, draft) => {
      const thread = this.thread.peek();
      const held = thread?.key === room ? thread : this.find(room);
      if (!held) return;
      held.write({ text: draft, mentions: this.settings.mentions(room, draft) });
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
    this.threads.close();
    for (const room of this.joined.peek()) room.close();
    this.live.close();
  }

  find(id: string): Room | null {
    return this.joined.peek().find((room) => room.id === id) ?? null;
  }

  /** Opens a room, whether joined or not: what is not joined shows how to join. With a message, at that one. */
  go(id: string | null, message: string | null = null, thread: string | null = null): void {
    this.activity.leave();
    this.overview.value = false;
    this.wantedThread = thread;
    const open = this.room.peek();
    // The room stays as it is where a thread comes up beside it, or goes.
    if (open?.id === id && open === this.entered && message === null && thread !== (this.thread.peek()?.root ?? null)) {
      this.showThread();
      return;
    }
    open?.leave();
    this.entered = null;
    const wasOpen = this.open.peek();
    this.open.value = id;
    this.wanted = message ?? (id === wasOpen ? this.wanted : null);
    const room = this.room.peek();
    this.showThread();
    if (!room) return;
    this.settings.lastRoom = room.id;
    this.entered = room;
    room.enter();
    if (this.wanted !== null) void this.show(room, this.wanted);
    this.wanted = null;
  }

  /** Opens what concerns this person, in the place of a room. */
  showActivity(): void {
    if (this.open.peek() !== null || !this.activity.open.peek()) this.go(null);
    this.activity.show();
  }

  /** Shows the threads that this person follows. */
  goToThreads(): void {
    this.go(null);
    this.overview.value = true;
    void this.threads.refresh();
  }

  /** Opens the thread under a message of a room, at an answer or where something is new. */
  openThread(room: Room, root: string, answer: number | null = null, replace = false): void {
    const open = this.thread.peek();
    if (open?.key === `${room.id}/${root}`) {
      if (answer !== null) void open.goTo(answer);
      return;
    }
    this.wantedAnswer = answer;
    this.navigate(`/rooms/${room.id}/thread/${root}`, replace);
  }

  /** Closes the thread beside the room. */
  closeThread(): void {
    const thread = this.thread.peek();
    if (thread) this.navigate(`/rooms/${thread.room.id}`);
  }

  private showThread(): void {
    const [room, root, was] = [this.room.peek(), this.wantedThread, this.thread.peek()];
    if (was?.room === room && was.root === root) return;
    if (was) this.find(was.room.id)?.closeThread();
    const thread = room && root !== null ? room.openThread(root) : null;
    if (thread) {
      const draft = this.settings.draft(thread.key);
      thread.write({ text: draft, mentions: this.settings.mentions(thread.key, draft) });
      thread.replyTo.value = this.settings.answered(thread.key);
      if (this.wantedAnswer !== null) thread.target.value = this.wantedAnswer;
      this.wantedAnswer = null;
    }
    this.thread.value = thread;
  }

  /** Shows what stands under a number, wherever in the room's history it is. */
  async showNumber(room: Room, number: number): Promise<void> {
    try {
      if ((await room.goTo(number)) === false) this.tell(strings.room.noSuchMessage);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Shows the first message that was posted at a time or later. Answers false when there is none. */
  async goToTime(room: Room, time: number): Promise<boolean> {
    const first = await this.api.firstMessageSince(room.id, time);
    if (first) await this.showNumber(room, first.number);
    return first !== null;
  }

  /** What is written there next answers this; null when it answers nothing. Kept with the draft. */
  answer(place: Room | Thread, answered: Answered | null): void {
    place.replyTo.value = answered;
    this.settings.saveAnswered(place.key, answered);
  }

  /** The members of a room, as they were when somebody came or went last. */
  members(room: Room): Promise<readonly Member[]> {
    const known = this.membersOf.get(room);
    const asOf = room.membership.peek();
    if (known?.asOf === asOf) return known.all;
    const all = this.api.members(room.id).then(({ members }) => members);
    const asked = { asOf, all, here: known?.here ?? [] };
    this.membersOf.set(room, asked);
    all.then(
      (members) => (asked.here = members),
      () => this.membersOf.delete(room),
    );
    return all;
  }

  /** Whom a name can mean that is written in a room, as far as they were asked for. */
  namesIn(room: Room): Name[] {
    const members = this.membersOf.get(room)?.here ?? [];
    const people = members.map(({ id, name }) => ({ label: `@${name}`, token: personToken(id) }));
    return this.mayMentionEverybody && !isDirect(room.info.peek()) ? [...people, HERE, ROOM] : people;
  }

  get mayMentionEverybody(): boolean {
    return this.role.peek() !== "guest";
  }

  /** The name of a room, for this person; null where they do not know it. */
  roomName(id: string): string | null {
    return this.find(id)?.info.value.name ?? this.known.value.find((room) => room.id === id)?.name ?? null;
  }

  /** The same as it is shown in a text. */
  readonly roomLabel = (id: string): string => {
    const name = this.roomName(id);
    return name === null ? strings.mentions.unknownRoom : `#${name}`;
  };

  /** Opens the editor of a message, with the names in it. */
  edit(changes: Changes, { id, body = "", content }: Pick<Message, "id" | "body" | "content">): void {
    changes.edit(id, writtenOf(body, labelsIn(content ?? [], (other) => this.roomName(other))));
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
      if (error instanceof InThread) this.openThread(room, error.root, error.number, true);
      else if (error instanceof ApiError && error.status === 404) this.tell(strings.room.noSuchMessage);
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

  /** Keeps a room otherwise: shown at once, and as before if that is refused. */
  async prefer(room: Room, edit: Preferences): Promise<void> {
    const before = room.info.peek();
    room.info.value = kept(before, { ...before, ...edit });
    try {
      this.showPreferred(await this.api.prefer(room.id, edit));
    } catch (error) {
      room.info.value = kept(room.info.peek(), before);
      throw error;
    }
  }

  /** Lists the rooms in another order, on this device. */
  listBy(order: Order): void {
    this.settings.order = order;
    this.order.value = order;
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
      this.threads.allRead();
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
    this.thread.peek()?.reading.send();
  }

  /** The page goes away: what the server does not know yet goes along by a way that outlives it. */
  leaveRead(): void {
    for (const room of this.joined.peek()) {
      const unsent = room.reading.takeUnsent();
      if (unsent) this.api.read(room.id, unsent.number, unsent.unread).catch(() => undefined);
    }
    const thread = this.thread.peek();
    const unsent = thread?.following.peek() ? thread.reading.takeUnsent() : null;
    if (thread && unsent) this.api.readThread(thread.room.id, thread.root, unsent.number, unsent.unread).catch(() => undefined);
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

  private showPreferred(how: RoomPreferences): void {
    const room = this.find(how.id);
    if (!room) return;
    this.ownChanges += 1;
    room.info.value = kept(room.info.peek(), how);
  }

  private connected(): void {
    if (this.wasLost) this.say(strings.announce.reconnected);
    this.wasLost = false;
    this.outbox.connected(true);
    this.activity.happened();
    this.idle.connected();
    this.people.refresh([this.me.id, ...(this.room.peek()?.authors() ?? [])]);
    this.tellRead();
    // What was under way on the link before may never be answered.
    this.readingRooms?.abort();
    void this.refreshRooms();
    void this.threads.refresh();
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
    if (open && nowOpen && nowOpen !== wasOpen) this.go(open, null, this.wantedThread);
    else if (!nowOpen) this.thread.value = null;
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
      happened: (event) => this.threads.heard(event),
      threadTold: (thread) => this.threads.told({ type: "thread.read", thread }),
      ended: (room) => {
        this.forget(room.id);
        this.refreshRoomsIn(ENDED_REFRESH_MS);
      },
      undoable: (what) => this.showUndo(what),
      role: this.role,
      concerned: () => this.activity.happened(),
      nextFrame: (task) => frames.add(task),
      after: (delay, task) => this.later(delay, task),
    });
    const draft = this.settings.draft(info.id);
    room.write({ text: draft, mentions: this.settings.mentions(info.id, draft) });
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
    if (!isInRoom(event.message) && event.message.thread !== this.thread.peek()?.root) return;
    this.heard.push({ author: event.message.author.name, body: event.message.content ? plainText(event.message.content, this.roomLabel) : (event.message.body ?? "") });
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
