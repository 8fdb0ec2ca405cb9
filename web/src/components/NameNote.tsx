import { mark, strings } from "../strings.ts";
import type { PersonRef, RoomInfo } from "../wire.ts";

/** Beside a name that somebody else has too, or one that looks alike: a few characters that stay the same for this person. */
export function NameNote({ person }: { person: PersonRef }) {
  if (!person.same_name) return null;
  return (
    <span class="person-note" title={strings.people.alike}>
      {` ${mark(person)}`}
    </span>
  );
}

/** The same beside the name of a room. It is not a part of the name, so that a long one does not push it out of sight. */
export function RoomNote({ room }: { room: Pick<RoomInfo, "id" | "same_name"> }) {
  if (!room.same_name) return null;
  return (
    <span class="room-note" title={strings.rooms.alikeTitle}>
      {` ${mark(room)}`}
    </span>
  );
}
