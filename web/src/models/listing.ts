/** In which order, and under which headings, this person's rooms stand in the list. */

/** What the list asks of a room: no more of it than the order takes, so that the list changes no more often than that. */
export type Listed = {
  favourite: boolean;
  /** The person's own heading for it; empty without one. */
  section: string;
  direct: boolean;
  /** Whether something is to be brought up. */
  unread: boolean;
  /** When the last message was posted there, in milliseconds; 0 without one. */
  last: number;
};

export type Order = "name" | "recent" | "unread";

/** Rooms under one heading. Those of the two kinds are always there. */
export type Section<T> = { kind: "favourites" | "rooms" | "directs"; rooms: T[] } | { kind: "own"; name: string; rooms: T[] };

/** The rooms, which come by name, under their headings: favourites, those of one's own by name, rooms, direct messages. */
export function sections<T>(rooms: readonly T[], of: (room: T) => Listed, order: Order): Section<T>[] {
  const favourites: T[] = [];
  const own = new Map<string, T[]>();
  const kinds: Record<"rooms" | "directs", T[]> = { rooms: [], directs: [] };
  for (const room of inOrder(rooms, of, order)) {
    const { favourite, section, direct } = of(room);
    if (favourite) favourites.push(room);
    else if (section === "") kinds[direct ? "directs" : "rooms"].push(room);
    else own.set(section, [...(own.get(section) ?? []), room]);
  }
  const names = [...own.keys()].sort((a, b) => a.localeCompare(b));
  return [
    ...(favourites.length > 0 ? [{ kind: "favourites" as const, rooms: favourites }] : []),
    ...names.map((name) => ({ kind: "own" as const, name, rooms: own.get(name) ?? [] })),
    { kind: "rooms", rooms: kinds.rooms },
    { kind: "directs", rooms: kinds.directs },
  ];
}

/** What is equal stays by name. */
function inOrder<T>(rooms: readonly T[], of: (room: T) => Listed, order: Order): readonly T[] {
  if (order === "name") return rooms;
  const key = (room: T): number => (order === "recent" ? -of(room).last : Number(!of(room).unread));
  return rooms
    .map((room) => ({ room, key: key(room) }))
    .sort((a, b) => a.key - b.key)
    .map(({ room }) => room);
}
