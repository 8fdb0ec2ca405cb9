/** What may be meant by what is being written: emoji by their short names, people behind an `@`, rooms behind a `#`. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { AtSign, Users } from "lucide";
import { EMOJI_OFFERED_MAX, NAMES_OFFERED_MAX } from "../limits.ts";
import type { Chat } from "../models/chat.ts";
import { allEmoji, byShortcode, findEmoji, shortcodeBefore, shortcodeClosed } from "../models/emoji.ts";
import { isDirect } from "../models/kinds.ts";
import { HERE, likelyFirst, nameBefore, namesFor, personToken, ROOM, roomToken, type Name, type Written } from "../models/mentions.ts";
import type { Room } from "../models/room.ts";
import { matching } from "../models/search.ts";
import { mark, strings } from "../strings.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./Icon.tsx";
import { RoomIcon } from "./RoomIcon.tsx";
import type { Suggestion } from "./Suggestions.tsx";

/** One thing that may be meant: what is written for it, and the name that stands there then. */
type Offer = Suggestion & { text: string; name: Name | null };
type Offered = { label: string; from: number; items: readonly Offer[]; active: number };
const NOTHING: Offered = { label: "", from: 0, items: [], active: 0 };

export type Put = (element: HTMLTextAreaElement, from: number, to: number, text: string, name: Name | null) => void;

export type Offers = {
  offered: Offered;
  /** Looks at what stands before the caret. */
  look: (element: HTMLTextAreaElement, written: Written) => void;
  take: (element: HTMLTextAreaElement | null, index: number) => void;
  /** Whether the key was for what is offered. */
  steer: (event: KeyboardEvent, element: HTMLTextAreaElement) => boolean;
  drop: () => void;
};

export function useOffers({ chat, room, put }: { chat: Chat; room: Room; put: Put }): Offers {
  const [offered, setOffered] = useState<Offered>(NOTHING);
  const drop = (): void => setOffered(NOTHING);

  const find = async (element: HTMLTextAreaElement, written: Written, isStill: () => boolean): Promise<Offered> => {
    const caret = element.selectionStart;
    const name = nameBefore(written, caret);
    if (name?.kind === "room") return offer(strings.mentions.rooms, name.from, roomsFor(chat, name.query));
    if (name) return offer(strings.mentions.people, name.from, await peopleFor(chat, room, name.query));
    const short = shortcodeBefore(written.text, caret);
    const closed = shortcodeClosed(written.text, caret);
    if (!short && !closed) return NOTHING;
    const groups = await allEmoji().catch(() => []);
    const meant = closed ? byShortcode(groups, closed.code) : null;
    if (closed && meant && isStill()) put(element, closed.from, caret, meant, null);
    if (!short) return NOTHING;
    const found = findEmoji(groups, short.code).slice(0, EMOJI_OFFERED_MAX);
    const items = found.map(([emoji, label, [code = ""]]) => ({ key: emoji, icon: emoji, label, ...(code && { hint: `:${code}:` }), text: `${emoji} `, name: null }));
    return offer(strings.emoji.offered, short.from, items);
  };

  const look = (element: HTMLTextAreaElement, written: Written): void => {
    const [value, caret] = [element.value, element.selectionStart];
    // Somebody who types goes on while they are loaded, or elsewhere.
    const isStill = (): boolean => element.isConnected && element.value === value && element.selectionStart === caret;
    void find(element, written, isStill).then((next) => {
      if (isStill()) setOffered(next);
    });
  };

  const take = (element: HTMLTextAreaElement | null, index: number): void => {
    const item = offered.items[index];
    drop();
    if (element && item) put(element, offered.from, element.selectionStart, item.text, item.name);
  };

  const steer = (event: KeyboardEvent, element: HTMLTextAreaElement): boolean => {
    const { items, active } = offered;
    if (items.length === 0 || event.isComposing || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) setOffered({ ...offered, active: (active + step + items.length) % items.length });
    else if (event.key === "Enter" || event.key === "Tab") take(element, active);
    else if (event.key === "Escape") drop();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  };

  return { offered, look, take, steer, drop };
}

function offer(label: string, from: number, items: readonly Offer[]): Offered {
  return items.length > 0 ? { label, from, items, active: 0 } : NOTHING;
}

function named(key: string, icon: ComponentChildren, name: Name, hint: string): Offer {
  return { key, icon, label: name.label.slice(1), ...(hint && { hint }), text: `${name.label} `, name };
}

async function peopleFor(chat: Chat, room: Room, query: string): Promise<Offer[]> {
  const members = await chat.members(room).catch(() => []);
  const people = namesFor(likelyFirst(members, room.recentAuthors(), chat.me.id), query).map((person) =>
    named(person.id, <Avatar person={person} small />, { label: `@${person.name}`, token: personToken(person.id) }, mark(person)),
  );
  const everybody = chat.mayMentionEverybody && !isDirect(room.info.peek()) ? [HERE, ROOM] : [];
  const hints = new Map([
    [HERE, strings.mentions.here],
    [ROOM, strings.mentions.all(room.info.peek().members)],
  ]);
  const all = namesFor(everybody.map((name) => ({ name: name.label.slice(1), of: name })), query).map(({ of }) =>
    named(of.token, <Icon of={of === HERE ? AtSign : Users} size={18} />, of, hints.get(of) ?? ""),
  );
  return [...people.slice(0, NAMES_OFFERED_MAX - all.length), ...all];
}

function roomsFor(chat: Chat, query: string): Offer[] {
  const rooms = matching(chat.known.peek().filter((room) => !isDirect(room) && room.archived === undefined), query);
  return rooms
    .slice(0, NAMES_OFFERED_MAX)
    .map((room) => named(room.id, <RoomIcon room={room} me={chat.me} size={18} />, { label: `#${room.name}`, token: roomToken(room.id) }, mark(room)));
}
