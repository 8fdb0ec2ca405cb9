/** What the kind of a room, and what somebody is in it and on the server, mean to the page. */
import { strings } from "../strings.ts";
import type { PersonRef, Preferences, Role, RoomFacts, RoomInfo, RoomKind } from "../wire.ts";

export function kindOf(room: Pick<RoomInfo, "kind">): RoomKind {
  return room.kind ?? "public";
}

export function isDirect(room: Pick<RoomInfo, "kind">): boolean {
  return room.kind === "direct";
}

/** The one other in a direct message; null in a group, and where one writes to oneself. */
export function partner(room: Pick<RoomInfo, "kind" | "people">): PersonRef | null {
  const [one, ...more] = room.people ?? [];
  return isDirect(room) && one && more.length === 0 ? one : null;
}

/** A room as it is shown to this person: notes to oneself have one's own name. */
export function shownTo<T extends RoomInfo>(me: PersonRef, room: T): T {
  if (!isDirect(room) || room.people?.length) return room;
  return { ...room, name: strings.direct.notes(me.name) };
}

/** Whether a direct message has anything in it but its beginning: without, it is shown only where it is open. */
export function isBlank(room: Pick<RoomInfo, "kind">, last: number): boolean {
  return isDirect(room) && last <= 1;
}

/** Whether nothing is written in the room any more: one reads it, and takes back what one said. */
export function isArchived(room: Pick<RoomInfo, "archived">): boolean {
  return room.archived !== undefined;
}

export function isAdmin(role: Role): boolean {
  return role === "owner" || role === "admin";
}

/** Whether the person may do in the room what members may not. */
export function looksAfter(role: Role, room: Pick<RoomInfo, "kind" | "role" | "member">): boolean {
  if (isDirect(room)) return false;
  return room.role === "owner" || (isAdmin(role) && (room.member || kindOf(room) === "public"));
}

/** Which roles on the server this person may give to somebody who has that one. */
export function rolesToGive(mine: Role, theirs: Role): Role[] {
  const all: Role[] = mine === "owner" ? ["owner", "admin", "member", "guest"] : mine === "admin" && !isAdmin(theirs) ? ["member", "guest"] : [];
  return all.filter((role) => role !== theirs);
}

/** The room as this person keeps it from now on. */
export function kept(room: RoomInfo, { favourite = false, muted = false, section = "" }: Preferences): RoomInfo {
  return { ...room, favourite, muted, section };
}

/** The room with what an event says of it. */
export function changed(room: RoomInfo, facts: RoomFacts): RoomInfo {
  const next: RoomInfo = { ...room, name: facts.name, topic: facts.topic, description: facts.description ?? "" };
  if (facts.kind) next.kind = facts.kind;
  if (facts.archived === undefined) delete next.archived;
  else next.archived = facts.archived;
  return next;
}
