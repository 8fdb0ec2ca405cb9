/** What stands in threads, as the messages that they are under tell it: what an answer makes of that, and where answers stand. */
import { REPLIES_COUNTED_MAX, THREAD_PEOPLE_SHOWN } from "../limits.ts";
import type { Message, Replies } from "../wire.ts";

/** Whether a message stands among those of its room, and not in a thread alone. */
export function isInRoom({ thread, also_in_room: also }: Pick<Message, "thread" | "also_in_room">): boolean {
  return thread === undefined || also === true;
}

/** What an event about an answer makes of what is told of its thread; null where no answer stands. */
export function replied(before: Replies | null, type: string, { id, number, time, author }: Message): Replies | null {
  const step = stepOf(type);
  const last = { id, number, time };
  const count = before && before.count >= REPLIES_COUNTED_MAX ? before.count : (before?.count ?? 0) + step;
  if (count <= 0) return null;
  if (!before) return { count, last, people: [author] };
  if (step < 0 || number < before.last.number) return { ...before, count };
  const people = [author, ...before.people.filter((other) => other.id !== author.id)].slice(0, THREAD_PEOPLE_SHOWN);
  return { count, last, people };
}

/** How many answers more stand after an event of this type. */
export function stepOf(type: string): 1 | 0 | -1 {
  if (type === "message.posted" || type === "message.restored") return 1;
  return type === "message.deleted" ? -1 : 0;
}
