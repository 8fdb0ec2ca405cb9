/**
 * The live connection: one `centrifuge` client, authenticated by the session cookie. It reconnects by itself with
 * exponential backoff and full jitter and resumes each room where it stopped; this file turns its events into ours.
 *
 * Over WebSocket where the network lets it through, and else over HTTP: the client tries the next transport when one
 * does not open, or brings no first answer, in five seconds, as behind a proxy that holds answers back.
 */
import { signal, type ReadonlySignal } from "@preact/signals";
import { Centrifuge, type ClientInfo, type Subscription, type TransportEndpoint } from "centrifuge";
import { RECONNECTING_SHOWN_AFTER_MS } from "./limits.ts";
import type { Hindrance, SendFailure, SendResult, Unsent } from "./models/outbox.ts";
import type { Connection } from "./models/presence.ts";
import type { Told } from "./models/reading.ts";
import type { ThreadNews } from "./models/threads.ts";
import type { PersonRef, Posted, Profile, RoomEvent, RoomPreferences, RoomReading, ThreadReading } from "./wire.ts";

export type LiveState = "connecting" | "connected" | "stopped";

export type RoomHandlers = {
  /** The room's position; what was missed since the last connection follows as events when it could be recovered. */
  subscribed: (offset: number, epoch: string) => void;
  event: (event: RoomEvent) => void;
  typing: (person: PersonRef) => void;
  joined: (connection: Connection) => void;
  left: (client: string) => void;
  /** Nobody does anything at one of the connections, or somebody again. */
  idle: (client: string, idle: boolean) => void;
  /** The server ended the subscription: the person is out of the room. */
  ended: () => void;
};

export type LiveHandlers = {
  connected: () => void;
  lost: () => void;
  /** A connection was refused or closed for good: the session may have ended. */
  doubt: () => void;
  /** Something about this person, or their rooms, changed: what they were told. */
  rooms: (told: unknown) => void;
  /** Somebody's profile is another one. */
  person: (profile: Profile) => void;
  /** How this person signs in is another. */
  account: () => void;
  /** This person has read a room, on whichever device. */
  read: (where: RoomReading) => void;
  /** Something about the threads of this person. */
  threads: (news: ThreadNews) => void;
  /** This person keeps a room otherwise, by another device. */
  preferred: (how: RoomPreferences) => void;
};

/** What passes; null is this person's own haste. */
const HINDRANCES: Record<number, Hindrance | null> = { 100: "failing", 111: null, 113: "failing", 503: "database", 507: "full" };
const NOT_A_MEMBER = 103;
const FAILURES: Record<number, SendFailure> = { [NOT_A_MEMBER]: "not_a_member", 400: "empty", 409: "conflict", 413: "too_long", 423: "archived", 403: "guest_tells_all", 428: "tells_many" };

export class Live {
  private readonly current = signal<LiveState>("connecting");
  private readonly late = signal(false);
  /** Network changes reach the client through here, and so does "Try now". */
  private readonly network = new EventTarget();
  private readonly client: Centrifuge;
  private connectedSince = 0;
  private readonly person: LiveHandlers["person"];
  private lateTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    url: string,
    version: string,
    handlers: LiveHandlers,
  ) {
    this.person = handlers.person;
    this.client = new Centrifuge(transports(url), {
      name: "web",
      version,
      networkEventTarget: this.network,
      emulationEndpoint: new URL("/emulation", http(url)).href,
    });
    this.client.on("connected", () => {
      clearTimeout(this.lateTimer);
      this.lateTimer = undefined;
      this.late.value = false;
      this.connectedSince = Date.now();
      this.current.value = "connected";
      handlers.connected();
    });
    this.client.on("connecting", ({ code }) => {
      const wasConnected = this.current.value === "connected";
      this.current.value = "connecting";
      this.lateTimer ??= setTimeout(() => (this.late.value = true), RECONNECTING_SHOWN_AFTER_MS);
      if (wasConnected) handlers.lost();
      if (code !== 0 && wasConnected) handlers.doubt();
    });
    this.client.on("disconnected", ({ code }) => {
      if (code === 0) return; // we asked for it
      clearTimeout(this.lateTimer);
      this.lateTimer = undefined;
      this.current.value = "stopped";
      handlers.lost();
      handlers.doubt();
    });
    // A handshake that the server refuses looks to the browser like a server that is away.
    this.client.on("error", ({ type }) => {
      if (type === "transport" || type === "connect") handlers.doubt();
    });
    this.client.on("publication", ({ channel, data }) => {
      if (!channel.startsWith("user:")) return;
      const event = data as { type?: string; room?: RoomReading & RoomPreferences; thread?: ThreadReading; person?: Profile };
      if (event.type === "person.changed" && event.person) handlers.person(event.person);
      else if (event.type === "account.changed") handlers.account();
      else if (event.type === "room.read" && event.room) handlers.read(event.room);
      else if (event.type?.startsWith("thread")) handlers.threads({ ...event, type: event.type });
      else if (event.type === "room.preferences" && event.room) handlers.preferred(event.room);
      else handlers.rooms(data);
    });
  }

  get state(): ReadonlySignal<LiveState> {
    return this.current;
  }

  /** Whether the connection has been away long enough to say so. */
  get away(): ReadonlySignal<boolean> {
    return this.late;
  }

  /** How long the connection has stood, in milliseconds; 0 while there is none. */
  get standing(): number {
    return this.isConnected() ? Date.now() - this.connectedSince : 0;
  }

  connect(): void {
    globalThis.addEventListener("online", this.tryNow);
    globalThis.addEventListener("offline", this.offline);
    this.client.connect();
  }

  close(): void {
    globalThis.removeEventListener("online", this.tryNow);
    globalThis.removeEventListener("offline", this.offline);
    clearTimeout(this.lateTimer);
    this.client.disconnect();
  }

  /** Does not wait for the next attempt. */
  readonly tryNow = (): void => {
    if (this.current.value === "stopped") this.client.connect();
    else this.network.dispatchEvent(new Event("online"));
  };

  private readonly offline = (): void => {
    this.network.dispatchEvent(new Event("offline"));
  };

  /** Follows a room until the returned function is called. */
  follow(room: string, handlers: RoomHandlers): () => void {
    const subscription = this.client.newSubscription(`room:${room}`, { recoverable: true, joinLeave: true });
    subscription.on("subscribed", ({ streamPosition }) => {
      handlers.subscribed(streamPosition?.offset ?? 0, streamPosition?.epoch ?? "");
    });
    subscription.on("publication", ({ data }) => {
      const event = data as RoomEvent & { person?: PersonRef; client?: string; idle?: boolean };
      if (typeof event.number === "number") handlers.event(event);
      else if (event.type === "typing" && event.person) handlers.typing(event.person);
      else if (event.type === "person.changed" && event.person) this.person(event.person as Profile);
      else if (event.type === "presence" && event.client) handlers.idle(event.client, event.idle === true);
    });
    subscription.on("join", ({ info }) => handlers.joined(connection(info)));
    subscription.on("leave", ({ info }) => handlers.left(info.client));
    subscription.on("unsubscribed", ({ code }) => {
      if (code !== 0) handlers.ended();
    });
    subscription.subscribe();
    return () => this.drop(subscription);
  }

  /** Who is in a room now. */
  async presence(room: string): Promise<Connection[]> {
    const { clients } = await this.client.presence(`room:${room}`);
    return Object.values(clients).map(connection);
  }

  readonly post = async (unsent: Unsent): Promise<SendResult> => {
    if (!this.isConnected()) return "later";
    try {
      const { room, client_id, body, reply_to, thread, also_in_room, everybody } = unsent;
      const answer = await this.client.rpc("post", {
        room,
        client_id,
        body,
        ...(reply_to && { reply_to: reply_to.id }),
        ...(thread !== undefined && { thread, ...(also_in_room && { also_in_room }) }),
        ...(everybody && { everybody }),
      });
      return { posted: answer.data as Posted };
    } catch (error) {
      return sendOutcome(error, this.isConnected());
    }
  };

  /** Tells the room that this person is typing. Nothing depends on its arrival. */
  typing(room: string): void {
    if (!this.isConnected()) return;
    this.client.rpc("typing", { room }).catch(() => undefined);
  }

  /** Says that nobody does anything at this page, or somebody again: whether that was taken. */
  readonly idle = async (idle: boolean): Promise<boolean> => {
    if (!this.isConnected()) return false;
    return this.client.rpc("presence", { idle }).then(
      () => true,
      () => false,
    );
  };

  /** Says how far this person has read a room. */
  readonly read = async (room: string, number: number, unread: boolean): Promise<Told> => {
    if (!this.isConnected()) return "later";
    try {
      const answer = await this.client.rpc("read", { room, number, ...(unread && { unread }) });
      return answer.data as RoomReading;
    } catch (error) {
      return (error as { code?: number }).code === NOT_A_MEMBER ? "never" : "later";
    }
  };

  /** Says how far this person has read a thread. */
  readonly readThread = async (room: string, message: string, number: number, unread: boolean): Promise<ThreadReading | "later" | "never"> => {
    if (!this.isConnected()) return "later";
    try {
      const answer = await this.client.rpc("read_thread", { room, message, number, ...(unread && { unread }) });
      return answer.data as ThreadReading;
    } catch (error) {
      return (error as { code?: number }).code === NOT_A_MEMBER ? "never" : "later";
    }
  };

  private isConnected(): boolean {
    return this.current.peek() === "connected";
  }

  private drop(subscription: Subscription): void {
    subscription.removeAllListeners();
    subscription.unsubscribe();
    this.client.removeSubscription(subscription);
  }
}

/** By what the server at the address of its WebSocket can be reached, the best first. */
export function transports(url: string, secure: boolean = globalThis.isSecureContext): TransportEndpoint[] {
  const at = (transport: "http_stream" | "sse"): TransportEndpoint => ({
    transport,
    endpoint: new URL(`/connection/${transport}`, http(url)).href,
  });
  const streams = [at("http_stream")];
  // Without HTTPS browsers do not say of a GET that it comes from our own page, and the server does not look at its cookie.
  if (secure) streams.push(at("sse"));
  return [{ transport: "websocket", endpoint: url }, ...streams];
}

function http(url: string): string {
  return url.replace(/^ws/, "http");
}

/** What an error of `post` means for the message. Codes below 100 are the client library's own. */
export function sendOutcome(error: unknown, connected: boolean): SendResult {
  const { code = 0, temporary = false } = error as { code?: number; temporary?: boolean };
  if (!connected && code < 100) return "later"; // the connection went away under it
  if (code < 100) return { again: "silent" };
  const why = HINDRANCES[code];
  if (why !== undefined || temporary) return { again: why === undefined ? "failing" : why };
  return { failure: FAILURES[code] ?? "refused" };
}

function connection(info: ClientInfo): Connection {
  const { name, idle } = (info.connInfo ?? {}) as { name?: unknown; idle?: unknown };
  return { client: info.client, user: info.user, name: typeof name === "string" ? name : "", idle: idle === true };
}
