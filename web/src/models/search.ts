/** Finds rooms by a few letters of their name. */
import type { RoomInfo } from "../wire.ts";

/** Rooms whose name has the letters: those that begin with them first, joined before others, then by name. */
export function matching(rooms: readonly RoomInfo[], query: string): RoomInfo[] {
  const wanted = fold(query.trim());
  const ranked = rooms.flatMap((room) => {
    const at = fold(room.name).indexOf(wanted);
    return at < 0 ? [] : [{ room, rank: (at > 0 ? 2 : 0) + (room.member ? 0 : 1) }];
  });
  return ranked.sort((a, b) => a.rank - b.rank || a.room.name.localeCompare(b.room.name)).map(({ room }) => room);
}

/** Without case and marks on letters. */
export function fold(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();
}
