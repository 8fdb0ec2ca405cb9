/** The REST API under /v1: one method per operation, each answering with what the server said or throwing `ApiError`. */
import { ACTIVITY_PAGE, READ_TIMEOUT_MS } from "./limits.ts";
import type { ActivityKind, ActivityPage, DeviceSession, EditsPage, EventsPage, Found, Invite, InvitePreview, Member, Message, Person, PersonRef, PersonalToken, Preferences, Profile, Role, RoomInfo, RoomPreferences, RoomReading, RoomsPage, Scope, Status, ThreadPage, ThreadReading, ThreadsPage } from "./wire.ts";

/** An answer that is not a success. `status` is 0 when no answer came at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    /** What is wrong with which field, in the server's words. */
    readonly fields: Record<string, string> = {},
  ) {
    super(detail || code || `status ${status}`);
  }
}

export type RoomEdit = { name?: string; topic?: string; description?: string; private?: boolean; archived?: boolean };
export type ProfileEdit = { name?: string; title?: string; zone?: string; status?: Status | null; quiet?: { ends?: number } | null };
type Entered = { person: Person; room: RoomInfo };
export type Credentials = { name: string; email: string; password: string };

export const api = {
  me: () => request<{ person: Person }>("GET", "/v1/me"),
  setUp: (code: string, who: Credentials) => request<Entered & { invite: Invite }>("POST", "/v1/setup", { code, ...who }),
  createAccount: (invite: string, who: Credentials) => request<Entered>("POST", "/v1/accounts", { invite, ...who }),
  signIn: (email: string, password: string) => request<{ person: Person }>("POST", "/v1/session", { email, password }),
  signOut: () => request<null>("DELETE", "/v1/session"),
  sessions: () => request<{ sessions: DeviceSession[] }>("GET", "/v1/sessions"),
  revokeSession: (id: string) => request<null>("DELETE", `/v1/sessions/${id}`),
  revokeOtherSessions: () => request<{ ended: number }>("DELETE", "/v1/sessions"),
  setPassword: (present: string, password: string) => request<null>("PUT", "/v1/me/password", { present, password }),
  setEmail: (present: string, email: string) => request<{ person: Person }>("PUT", "/v1/me/email", { present, email }),

  tokens: () => request<{ tokens: PersonalToken[] }>("GET", "/v1/me/tokens"),
  /** The secret is told here and never again. */
  makeToken: (name: string, scopes: readonly Scope[], expires?: number) =>
    request<PersonalToken & { secret: string }>("POST", "/v1/me/tokens", { name, scopes, ...(expires !== undefined && { expires }) }),
  revokeToken: (token: string) => request<null>("DELETE", `/v1/me/tokens/${token}`),

  /** What is left out stays as it is. */
  editProfile: (edit: ProfileEdit) => request<Profile>("PATCH", "/v1/me/profile", edit),
  profiles: (people: readonly string[]) => request<{ people: Profile[] }>("GET", `/v1/profiles?people=${people.join(",")}`),

  lookUpInvite: (code: string) => request<InvitePreview>("POST", "/v1/invites/look-up", { code }),
  acceptInvite: (code: string) => request<{ room: RoomInfo }>("POST", "/v1/invites/accept", { code }),
  /** The room's invite; one that has run out is followed by another. */
  invite: (room: string) => request<Invite>("PUT", `/v1/rooms/${room}/invite`, {}),
  renewInvite: (room: string) => request<Invite>("POST", `/v1/rooms/${room}/invite`, {}),

  /** One's own rooms and some others; after a room, only others. */
  rooms: (after?: string, signal?: AbortSignal) => request<RoomsPage>("GET", after ? `/v1/rooms?after=${after}` : "/v1/rooms", undefined, signal),
  room: (room: string) => request<RoomInfo>("GET", `/v1/rooms/${room}`),
  createRoom: (name: string, topic: string, hidden = false) =>
    request<RoomInfo>("POST", "/v1/rooms", { name, ...(topic && { topic }), ...(hidden && { private: true }) }),
  /** What is left out stays as it is. */
  editRoom: (room: string, edit: RoomEdit) => request<RoomInfo>("PATCH", `/v1/rooms/${room}`, edit),
  join: (room: string) => request<RoomInfo>("PUT", `/v1/rooms/${room}/members/me`, {}),
  leave: (room: string) => request<null>("DELETE", `/v1/rooms/${room}/members/me`),
  remove: (room: string, person: string) => request<null>("DELETE", `/v1/rooms/${room}/members/${person}`),
  addMember: (room: string, person: string) => request<Member>("POST", `/v1/rooms/${room}/members`, { person }),
  setRoomRole: (room: string, person: string, role: "owner" | "member") =>
    request<null>("PATCH", `/v1/rooms/${room}/members/${person}`, { role }),
  /** People whose name has this in it, the best first. */
  findPeople: (query: string, signal?: AbortSignal) =>
    request<{ people: Found[] }>("GET", `/v1/people?query=${encodeURIComponent(query)}`, undefined, signal),
  setRole: (person: string, role: Role) => request<Found>("PATCH", `/v1/people/${person}`, { role }),
  /** The direct message of these people and oneself, whether it was there or not. */
  startDirect: (people: readonly string[]) => request<RoomInfo>("POST", "/v1/direct", { people }),
  members: (room: string) => request<{ members: Member[] }>("GET", `/v1/rooms/${room}/members`),

  /** How one keeps a room; what is left out stays as it is. */
  prefer: (room: string, edit: Preferences) => request<RoomPreferences>("PATCH", `/v1/rooms/${room}/preferences`, edit),

  /** Says how far this person has read a room, also while the page goes away. */
  read: (room: string, number: number, unread: boolean) =>
    request<RoomReading>("PUT", `/v1/rooms/${room}/read`, { number, ...(unread && { unread }) }, undefined, true),
  readAll: () => request<{ rooms: RoomReading[] }>("POST", "/v1/rooms/read-all", {}),

  events: (room: string, at: { before?: number; after?: number }, limit: number, signal?: AbortSignal) => {
    const query = new URLSearchParams({ limit: String(limit) });
    if (at.before !== undefined) query.set("before", String(at.before));
    if (at.after !== undefined) query.set("after", String(at.after));
    return request<EventsPage>("GET", `/v1/rooms/${room}/events?${query.toString()}`, undefined, signal);
  },

  /** What concerns this person; what is older than a page with its `next`. */
  activity: (kind: ActivityKind | null, before?: string, signal?: AbortSignal) => {
    const query = new URLSearchParams({ limit: String(ACTIVITY_PAGE) });
    if (kind !== null) query.set("kind", kind);
    if (before !== undefined) query.set("before", before);
    return request<ActivityPage>("GET", `/v1/activity?${query.toString()}`, undefined, signal);
  },
  thread: (room: string, root: string, before: number | undefined, limit: number, signal?: AbortSignal) => {
    const query = `limit=${limit}${before === undefined ? "" : `&before=${before}`}`;
    return request<ThreadPage>("GET", `/v1/rooms/${room}/messages/${root}/thread?${query}`, undefined, signal);
  },
  followThread: (room: string, root: string, follows: boolean) =>
    request<ThreadReading>(follows ? "PUT" : "DELETE", `/v1/rooms/${room}/messages/${root}/thread/following`),
  /** Says how far this person has read a thread, also while the page goes away. */
  readThread: (room: string, root: string, number: number, unread: boolean) =>
    request<ThreadReading>("PUT", `/v1/rooms/${room}/messages/${root}/thread/read`, { number, ...(unread && { unread }) }, undefined, true),
  /** The threads that this person follows, or those behind the one whose last answer that is. */
  threads: (before?: string, signal?: AbortSignal) =>
    request<ThreadsPage>("GET", before === undefined ? "/v1/threads" : `/v1/threads?before=${before}`, undefined, signal),

  /** The first message that was posted at a time or later. */
  firstMessageSince: async (room: string, since: number) => {
    const { messages } = await request<{ messages: Message[] }>("GET", `/v1/rooms/${room}/messages?since=${since}&limit=1`);
    return messages[0] ?? null;
  },
  message: (room: string, message: string) => request<Message>("GET", `/v1/rooms/${room}/messages/${message}`),
  editMessage: (room: string, message: string, body: string) => request<Message>("PATCH", `/v1/rooms/${room}/messages/${message}`, { body }),
  /** With a reason where it is somebody else's. */
  deleteMessage: (room: string, message: string, reason?: string) =>
    request<Message>("DELETE", `/v1/rooms/${room}/messages/${message}`, reason === undefined ? undefined : { reason }),
  react: (room: string, message: string, emoji: string, stands: boolean) =>
    request<null>(stands ? "PUT" : "DELETE", `/v1/rooms/${room}/messages/${message}/reactions/${encodeURIComponent(emoji)}`),
  reacted: (room: string, message: string, emoji: string) =>
    request<{ people: PersonRef[]; more: boolean }>("GET", `/v1/rooms/${room}/messages/${message}/reactions/${encodeURIComponent(emoji)}`),
  restoreMessage: (room: string, message: string) => request<Message>("POST", `/v1/rooms/${room}/messages/${message}/restore`, {}),
  /** What a message said before it was edited: the newest first, some at a time. */
  edits: (room: string, message: string, before?: number) =>
    request<EditsPage>("GET", `/v1/rooms/${room}/messages/${message}/edits${before === undefined ? "" : `?before=${before}`}`),
};

export type Api = typeof api;

async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal, keepalive = false): Promise<T> {
  const given = new AbortController();
  const stop = (): void => given.abort();
  signal?.addEventListener("abort", stop);
  // What was only read can be asked for again; a change that takes long may have been made.
  const timer = method === "GET" ? setTimeout(stop, READ_TIMEOUT_MS) : undefined;
  try {
    const response = await answer(method, path, body, given.signal, keepalive);
    if (response.status === 204) return null as T;
    const content: unknown = await response.json().catch(() => undefined);
    if (!response.ok) throw problem(response.status, content);
    if (content === undefined) throw unreachable(); // cut off in its middle
    return content as T;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

async function answer(method: string, path: string, body: unknown, signal: AbortSignal, keepalive: boolean): Promise<Response> {
  try {
    return await fetch(path, {
      method,
      credentials: "same-origin",
      headers: { accept: "application/json", ...(method !== "GET" && { "content-type": "application/json" }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal,
      keepalive,
    });
  } catch {
    throw unreachable();
  }
}

function unreachable(): ApiError {
  return new ApiError(0, "unreachable", "");
}

/** Reads an RFC 9457 problem; whatever else came is an error without words. */
export function problem(status: number, content: unknown): ApiError {
  const found = typeof content === "object" && content !== null ? (content as Record<string, unknown>) : {};
  const fields: Record<string, string> = {};
  for (const entry of Array.isArray(found.errors) ? (found.errors as unknown[]) : []) {
    const { field, detail } = (entry ?? {}) as Record<string, unknown>;
    if (typeof field === "string" && typeof detail === "string") fields[field] ??= detail;
  }
  return new ApiError(status, text(found.code), text(found.detail) || text(found.title), fields);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
