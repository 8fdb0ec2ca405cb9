/** A room on a server, and one person's view of it over a link that can be cut: what the tests speak in. */
import { signal } from "@preact/signals";
import { Outbox, type SendResult, type Unsent, type UnsentStore } from "../src/models/outbox.ts";
import { Room } from "../src/models/room.ts";
import { rows, type MessageRow } from "../src/models/rows.ts";
import type { RoomHandlers } from "../src/live.ts";
import type { Block, EventsPage, Message, Role, RoomEvent, RoomInfo, RoomReading } from "../src/wire.ts";

export const ANA = { id: "person-ana", name: "Ana" };
export const BEN = { id: "person-ben", name: "Ben" };

/** More missed publications than this are not recovered by the socket. */
export const RECOVERY_MAX = 300;

/** The server's side: events in order, bodies as they are now. */
/** What a world in which nobody changes messages is never asked for. */
const never = () => Promise.reject(new Error("not asked for"));
export const NO_CHANGES = { message: never, react: never, members: never, editMessage: never, deleteMessage: never, restoreMessage: never, thread: never, followThread: never };

export class ServerRoom {
  readonly id = "room-1";
  epoch = "first";
  events: RoomEvent[] = [];
  readonly bodies = new Map<string, Partial<Message>>();
  announce: (event: RoomEvent) => void = () => undefined;

  post(author: typeof ANA, body: string, at: { time?: number; clientId?: string; content?: Block[] } = {}): RoomEvent {
    const number = this.events.length + 1;
    const time = at.time ?? 1_700_000_000_000 + number * 1_000;
    const message = { id: `m${number}`, room: this.id, number, client_id: at.clientId ?? `c${number}`, author, body, time, ...(at.content && { content: at.content }) };
    this.bodies.set(message.id, message);
    return this.add({ type: "message.posted", number, time, message });
  }

  edit(id: string, body: string): RoomEvent {
    return this.alter("message.edited", id, { body, edited: 1 });
  }

  delete(id: string): RoomEvent {
    return this.alter("message.deleted", id, { deleted: { time: 1, by: ANA } });
  }

  /** An event of a type that this client has never heard of. */
  unknown(): RoomEvent {
    return this.add({ type: "moon.rose", number: this.events.length + 1, time: 1 });
  }

  /** A page as the API gives it: the text is joined when the event is read. */
  page(at: { before?: number; after?: number }, limit: number): EventsPage {
    const chosen =
      at.after !== undefined
        ? this.events.filter((event) => event.number > (at.after ?? 0)).slice(0, limit)
        : this.events.filter((event) => at.before === undefined || event.number < at.before).slice(-limit);
    return {
      events: chosen.map((event) => this.present(event)),
      epoch: this.epoch,
      offset: this.events.length,
      more: (chosen[0]?.number ?? 1) > 1,
    };
  }

  present(event: RoomEvent): RoomEvent {
    return event.message ? { ...event, message: { ...event.message, ...this.bodies.get(event.message.id) } } : event;
  }

  /** The texts that a reader who saw everything would see, of all events or of some. */
  texts(from = 1, to = Infinity): string[] {
    return this.events.slice(from - 1, to).flatMap((event) => {
      const now = event.type === "message.posted" && event.message ? this.bodies.get(event.message.id) : undefined;
      return now ? [now.deleted === undefined ? (now.body ?? "") : "(deleted)"] : [];
    });
  }

  private alter(type: string, id: string, change: Partial<Message>): RoomEvent {
    const message = { ...this.bodies.get(id), ...change } as Message;
    if (change.deleted !== undefined) delete message.body;
    this.bodies.set(id, message);
    return this.add({ type, number: this.events.length + 1, time: 1, message });
  }

  private add(event: RoomEvent): RoomEvent {
    this.events.push(event);
    this.announce(event);
    return event;
  }
}

/** One person's page: the room under test, connected to a `ServerRoom`. */
export class World {
  readonly server = new ServerRoom();
  readonly room: Room;
  readonly outbox: Outbox;
  readonly asked: { before?: number; after?: number }[] = [];
  heard: string[] = [];
  concerned = 0;
  /** How far this person has read, as the server knows. */
  read: number;
  /** What it was told of that. */
  readonly told: { number: number; unread: boolean }[] = [];
  miscounted = 0;
  /** What the page requests wait for, when a test holds them back. */
  hold: Promise<void> | null = null;
  failing = false;
  private readonly me: typeof ANA;
  private timers: { task: () => void }[] = [];
  private handlers: RoomHandlers | undefined;
  private position: { offset: number; epoch: string } | null = null;
  private connected = false;

  constructor({ me = ANA, lastRead = null as number | null, events = 0 } = {}) {
    for (let i = 1; i <= events; i++) this.server.post(BEN, `old ${i}`);
    this.read = lastRead ?? events;
    this.me = me;
    this.outbox = new Outbox({
      person: me.id,
      store: new MemoryStore(),
      send: (unsent) => Promise.resolve(this.take(unsent)),
      changed: () => this.room.changed(),
      reached: () => this.room.timeline.last,
      hindered: () => undefined,
      after: () => () => undefined,
    });
    this.server.announce = (event) => {
      if (!this.connected) return;
      this.position = { offset: event.number, epoch: this.server.epoch };
      this.handlers?.event(event);
    };
    this.room = new Room(this.info(), {
      me,
      read: (_room, number, unread) => {
        if (!this.connected) return Promise.resolve("later" as const);
        this.told.push({ number, unread });
        this.read = unread ? number : Math.max(this.read, number);
        return Promise.resolve(this.reading());
      },
      miscounted: () => (this.miscounted += 1),
      concerned: () => (this.concerned += 1),
      heard: (_room, event) => this.heard.push(event.message?.body ?? ""),
      happened: () => undefined,
      threadTold: () => undefined,
      ended: () => undefined,
      nextFrame: (task) => task(),
      after: (_delay, task) => {
        const timer = { task };
        this.timers.push(timer);
        return () => (this.timers = this.timers.filter((other) => other !== timer));
      },
      outbox: this.outbox,
      api: {
        events: async (_room, at, limit) => {
          this.asked.push(at);
          if (this.failing) throw new Error("offline");
          const page = this.server.page(at, limit);
          await this.hold;
          return page;
        },
        ...NO_CHANGES,
      },
      role: signal<Role>("member"),
      undoable: () => undefined,
      live: {
        follow: (_room, handlers) => {
          this.handlers = handlers;
          return () => (this.handlers = undefined);
        },
        presence: () => Promise.resolve([]),
        readThread: () => Promise.resolve("later" as const),
      },
    });
  }

  /** Connects or reconnects, as the client library does: it resumes where it stopped, or is told that it cannot. */
  connect(): void {
    this.connected = true;
    const top = this.server.events.length;
    const { position, server } = this;
    const resumable = position?.epoch === server.epoch && top - position.offset <= RECOVERY_MAX;
    const missed = resumable ? server.events.filter((event) => event.number > position.offset) : [];
    this.handlers?.subscribed(resumable ? position.offset : top, server.epoch);
    for (const event of missed) this.handlers?.event(server.present(event));
    this.position = { offset: top, epoch: server.epoch };
    this.outbox.connected(true);
  }

  cut(): void {
    this.connected = false;
    this.outbox.connected(false);
  }

  /** Attempts that wait for their time. */
  get waiting(): number {
    return this.timers.length;
  }

  /** Lets the time pass that they wait for. */
  pass(): void {
    for (const { task } of this.timers.splice(0)) task();
  }

  /** Delivers an event as the socket would, whatever came before. */
  deliver(event: RoomEvent): void {
    this.handlers?.event(event);
  }

  rows(): MessageRow[] {
    const { timeline } = this.room;
    return rows({
      timeline,
      from: timeline.first,
      to: Infinity,
      unsent: this.outbox.in(this.room.id),
      me: ANA,
      newAfter: null,
    }).filter((row) => row.kind === "message");
  }

  texts(): string[] {
    return this.rows().map((row) => (row.deleted ? "(deleted)" : row.body));
  }

  numbers(): number[] {
    return this.room.timeline.events.map((event) => event.number);
  }

  info(): RoomInfo {
    const { server } = this;
    return { ...this.reading(), id: server.id, name: "General", topic: null, member: true, members: 2, epoch: server.epoch, created: 0 };
  }

  /** How far this person has read, with what waits there. */
  reading(): RoomReading {
    const { events, id, bodies } = this.server;
    const behind = events.slice(this.read).filter((event) => {
      const now = event.type === "message.posted" && event.message ? bodies.get(event.message.id) : undefined;
      return now !== undefined && now.deleted === undefined && event.message?.author.id !== this.me.id;
    });
    return { id, offset: events.length, read: this.read, unread: Math.min(behind.length, 100), mentions: 0 };
  }

  private take(unsent: Unsent): SendResult {
    if (!this.connected) return "later";
    const before = this.server.events.find((event) => event.type === "message.posted" && event.message?.client_id === unsent.client_id);
    const { id, number, time } = before?.message ?? this.server.post(ANA, unsent.body, { clientId: unsent.client_id }).message!;
    return { posted: { id, number, time } };
  }
}

export class MemoryStore implements UnsentStore {
  readonly kept = new Map<string, Unsent>();

  load(person: string): Promise<Unsent[]> {
    return Promise.resolve([...this.kept.values()].filter((unsent) => unsent.person === person));
  }

  put(unsent: Unsent): Promise<void> {
    this.kept.set(unsent.client_id, unsent);
    return Promise.resolve();
  }

  update(unsent: Unsent): Promise<void> {
    return this.kept.has(unsent.client_id) ? this.put(unsent) : Promise.resolve();
  }

  delete(clientId: string): Promise<void> {
    this.kept.delete(clientId);
    return Promise.resolve();
  }

  clear(): Promise<void> {
    this.kept.clear();
    return Promise.resolve();
  }
}

/** Lets everything that was promised happen. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 60; i++) await Promise.resolve();
}

/** A small seeded generator (mulberry32), so that a failure can be repeated. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
