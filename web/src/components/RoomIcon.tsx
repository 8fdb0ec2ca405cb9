import { Archive, Hash, Lock, Users } from "lucide";
import type { State } from "../models/profile.ts";
import { isArchived, isDirect, partner } from "../models/kinds.ts";
import { strings } from "../strings.ts";
import type { PersonRef, RoomInfo } from "../wire.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./Icon.tsx";

type Props = { room: Pick<RoomInfo, "kind" | "people" | "archived" | "id" | "name">; me: PersonRef; size?: number; here?: State };

/** What a room is, before its name: a hash, a lock, or whom one writes to. A screen reader is told behind the name. */
export function RoomIcon({ room, me, size = 20, here = "offline" }: Props) {
  if (isDirect(room)) {
    const other = partner(room) ?? (room.people?.length ? null : me);
    if (!other) return <Icon of={Users} size={size} />;
    return (
      <span class="room-person">
        <Avatar person={other} small />
        {here !== "offline" && <span class={`presence presence-${here}`} aria-hidden="true" />}
      </span>
    );
  }
  return <Icon of={isArchived(room) ? Archive : room.kind === "private" ? Lock : Hash} size={size} />;
}

/** The same in words, where they add something. */
export function KindNote({ room }: { room: Pick<RoomInfo, "kind" | "archived"> }) {
  const words = [room.kind === "private" && strings.rooms.privately, room.archived !== undefined && strings.rooms.archived];
  const said = words.filter(Boolean).join(", ");
  return said ? <span class="visually-hidden">, {said}</span> : null;
}
