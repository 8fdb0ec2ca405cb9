/**
 * From events and unsent messages to the rows of the message list: day separators, the line before what is new,
 * messages grouped under one header, quiet lines for who joined and left.
 */
import { GROUPING_MS } from "../limits.ts";
import type { Answered, Block, Message, PersonRef, Reacted, Replies, RoomEvent } from "../wire.ts";
import type { Unsent } from "./outbox.ts";
import { isInRoom } from "./replies.ts";
import type { Timeline } from "./timeline.ts";
import { dayOf } from "./times.ts";

export type MessageState = "pending" | "sent" | "failed";

export type MessageRow = {
  kind: "message";
  key: string;
  /** The message's own; null until the server has taken it. */
  id: string | null;
  author: PersonRef;
  body: string;
  /** The tree of its text, where it has marks and the server has said so. */
  content: Block[] | null;
  time: number;
  number: number | null;
  state: MessageState;
  /** Whether the author and the time stand above it. */
  head: boolean;
  edited: number | null;
  deleted: boolean;
  /** Who deleted it, if that was not its author, and why. */
  deleter: PersonRef | null;
  reason: string | null;
  /** What it answers, as that is now. */
  replyTo: Answered | null;
  reactions: readonly Reacted[];
  /** The message in whose thread it stands. */
  thread: string | null;
  /** What stands in the thread under it. */
  replies: Replies | null;
  /** The message as the outbox knows it, while it is there. */
  unsent: Unsent | null;
};

export type Note =
  | "joined" | "left" | "created" | "added" | "removed" | "promoted" | "demoted"
  | "renamed" | "described" | "opened" | "closed" | "archived" | "restored";
/** `by` is who did it to them, where somebody else did. */
export type NoteRow = { kind: "note"; key: string; note: Note; people: PersonRef[]; by: PersonRef | null; time: number; number: number };
export type DayRow = { kind: "day"; key: string; time: number };
export type NewRow = { kind: "new"; key: string };
export type Row = MessageRow | NoteRow | DayRow | NewRow;

export type RowsInput = {
  timeline: Timeline;
  /** The answers of a thread, in the place of what stands in the room. */
  thread?: readonly RoomEvent[];
  /** What their keys begin with, where they stand beside other rows of the same messages. */
  within?: string;
  /** First and last number to show. */
  from: number;
  to: number;
  unsent: readonly Unsent[];
  me: PersonRef;
  /** What this person's own reactions make of those that are known. */
  reactions?: (message: string, known: readonly Reacted[]) => readonly Reacted[];
  /** Somebody with their present name, where that is known better than what stands at the event. */
  present?: (person: PersonRef) => PersonRef;
  /** What is later than this was not there at the last visit; null when nothing is new. */
  newAfter: number | null;
  /** Whether it is a direct message, which begins without a word. */
  direct?: boolean;
};

/** What is said of an event: by the one whom it is about, and where somebody else did it. */
const NOTES: Record<string, [Note, Note]> = {
  "member.joined": ["joined", "added"],
  "member.left": ["left", "removed"],
  "member.promoted": ["promoted", "promoted"],
  "member.demoted": ["demoted", "demoted"],
  "room.created": ["created", "created"],
  "room.renamed": ["renamed", "renamed"],
  "room.described": ["described", "described"],
  "room.opened": ["opened", "opened"],
  "room.closed": ["closed", "closed"],
  "room.archived": ["archived", "archived"],
  "room.restored": ["restored", "restored"],
};

/** Those of which several that follow each other are one line. */
const TOGETHER: readonly Note[] = ["joined", "left", "added", "removed"];

export function rows(input: RowsInput): Row[] {
  const list: Row[] = [];
  const { within = "" } = input;
  const present = input.present ?? ((person: PersonRef) => person);
  const answered = (known: Answered | undefined): Answered | null => {
    const now = known && input.timeline.answered(known);
    return now ? { ...now, author: present(now.author) } : null;
  };
  let day = "";
  let latest = -Infinity;
  let headTime = -Infinity;
  const start = Math.max(input.from, input.timeline.first);
  // Where the first new message is further up, the line is there too.
  let newShown = input.newAfter === null || (!input.thread && input.newAfter < start - 1);

  const openDay = (time: number): void => {
    const next = dayOf(time);
    // Days only go forward: an old message that failed stays at the end and opens no day of its own.
    if (next === day || time <= latest) return;
    day = next;
    latest = time;
    list.push({ kind: "day", key: `${within}day-${next}`, time });
  };

  const pushMessage = (row: Omit<MessageRow, "kind" | "head">): void => {
    openDay(row.time);
    const before = list.at(-1);
    const grouped =
      before?.kind === "message" &&
      before.author.id === row.author.id &&
      row.time - headTime < GROUPING_MS &&
      row.time >= before.time - GROUPING_MS;
    if (!grouped) headTime = row.time;
    list.push({ kind: "message", head: !grouped, ...row });
  };

  const pushNote = (event: RoomEvent, note: Note, subject: PersonRef): void => {
    const person = present(subject);
    const by = event.by ? present(event.by) : null;
    openDay(event.time);
    const before = list.at(-1);
    if (before?.kind === "note" && before.note === note && before.by?.id === by?.id && TOGETHER.includes(note)) {
      const people = [...before.people.filter((other) => other.id !== person.id), person];
      list[list.length - 1] = { ...before, people };
      return;
    }
    list.push({ kind: "note", key: `n-${event.number}`, note, people: [person], by, time: event.time, number: event.number });
  };

  for (const event of input.thread ?? held(input.timeline, start, input.to)) {
    const { number } = event;
    const message = event.type === "message.posted" ? input.timeline.message(event) : undefined;
    if (message && !input.thread && !isInRoom(message)) continue;
    if (message) {
      if (!newShown && input.newAfter !== null && number > input.newAfter && message.author.id !== input.me.id && !message.deleted) {
        newShown = true;
        openDay(event.time);
        list.push({ kind: "new", key: `${within}new` });
      }
      pushMessage({
        key: within + messageKey(message.author.id, message.client_id),
        id: message.id,
        author: present(message.author),
        body: message.body ?? "",
        content: message.content ?? null,
        time: message.time,
        number,
        state: "sent",
        edited: message.edited ?? null,
        deleted: message.deleted !== undefined,
        deleter: message.deleted && message.deleted.by.id !== message.author.id ? present(message.deleted.by) : null,
        reason: message.deleted?.reason ?? null,
        replyTo: answered(message.reply_to),
        reactions: shownReactions(input, message),
        thread: message.thread ?? null,
        replies: input.thread ? null : input.timeline.replies(message.id),
        unsent: null,
      });
      continue;
    }
    const notes = input.direct ? undefined : NOTES[event.type];
    if (notes && event.member) pushNote(event, notes[event.by ? 1 : 0], event.member);
  }

  if (input.to >= input.timeline.last) {
    for (const unsent of input.unsent) {
      pushMessage({
        key: within + messageKey(input.me.id, unsent.client_id),
        id: null,
        author: present(input.me),
        body: unsent.shown ?? unsent.body,
        content: null,
        time: unsent.posted?.time ?? unsent.created,
        number: unsent.posted?.number ?? null,
        state: unsent.posted ? "sent" : unsent.failure ? "failed" : "pending",
        edited: null,
        deleted: false,
        deleter: null,
        reason: null,
        replyTo: answered(unsent.reply_to),
        reactions: [],
        thread: unsent.thread ?? null,
        replies: null,
        unsent,
      });
    }
  }
  return list;
}

function* held(timeline: Timeline, from: number, to: number): Generator<RoomEvent> {
  for (let number = from; number <= to; number++) {
    const event = timeline.at(number);
    if (!event) return;
    yield event;
  }
}

function shownReactions({ timeline, reactions, present }: RowsInput, { id, deleted }: Message): readonly Reacted[] {
  const known = deleted ? [] : (timeline.reactions(id) ?? []);
  const shown = deleted || !reactions ? known : reactions(id, known);
  return present ? shown.map((one) => ({ ...one, people: one.people.map(present) })) : shown;
}

// The same key before and after the commit keeps the row's element in place.
function messageKey(author: string, clientId: string): string {
  return `m-${author}-${clientId}`;
}

/** Whether two rows look the same, so that the second need not be drawn. */
export function sameRow(a: Row, b: Row): boolean {
  if (a.kind !== b.kind || a.key !== b.key) return false;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return Object.keys(left).every((name) => {
    const [was, is] = [left[name], right[name]];
    if (was === is) return true;
    if (name === "deleter" || name === "by") return (was as PersonRef | null)?.name === (is as PersonRef | null)?.name;
    if (name === "replyTo" || name === "reactions" || name === "replies") return JSON.stringify(was) === JSON.stringify(is);
    if (name === "author") return (was as PersonRef).name === (is as PersonRef).name && whoIs(was as PersonRef) === whoIs(is as PersonRef);
    if (name === "people") return (was as PersonRef[]).map(whoIs).join() === (is as PersonRef[]).map(whoIs).join();
    return false;
  });
}

// Who it is, and whether a mark tells them apart.
function whoIs(person: PersonRef): string {
  return person.same_name ? `${person.id}#` : person.id;
}
