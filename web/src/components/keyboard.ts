/** The keys that work everywhere: moving between rooms and between the parts of the page. */
import type { Chat } from "../models/chat.ts";

/** Where F6 stops, in visual order. */
const REGIONS = ["[data-region=rooms]", "[data-region=messages]", "#composer", "[data-region=thread]", "#thread-composer", "[data-region=people]"];

/** Of the room, or of the thread beside it. */
export function focusComposer({ thread }: { thread?: unknown } = {}): void {
  document.getElementById(thread === undefined ? "composer" : "thread-composer")?.focus();
}

/** Moves the messages by a page without leaving the composer; a little of the last page stays in view. */
export function scrollMessages(step: 1 | -1, region: "messages" | "thread" = "messages"): void {
  const scroller = document.querySelector(`[data-region=${region}]`);
  scroller?.scrollBy({ top: step * scroller.clientHeight * 0.9 });
}

export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}

export function focusNextRegion(step: 1 | -1): void {
  const regions = REGIONS.map((selector) => document.querySelector<HTMLElement>(selector)).filter(
    (region) => region !== null && !region.closest("[inert]"),
  );
  const at = regions.findIndex((region) => region?.contains(document.activeElement));
  const next = regions[(at + step + regions.length) % regions.length];
  if (!next) return;
  if (next.tabIndex >= 0) next.focus();
  else next.querySelector<HTMLElement>("[aria-current=page], a, button, input")?.focus();
}

/** The room above or below the open one, or the next unread one in that direction. */
export function stepRoom(chat: Chat, step: 1 | -1, unreadOnly: boolean): string | null {
  const rooms = chat.shown.peek();
  const at = rooms.findIndex((room) => room.id === chat.open.peek());
  for (let i = 1; i <= rooms.length; i++) {
    const room = rooms[(at + step * i + rooms.length * 2) % rooms.length];
    if (!room || room.id === chat.open.peek()) continue;
    const { count, more } = room.calling.peek();
    if (!unreadOnly || count > 0 || more || room.mentioned.peek() > 0) return room.id;
  }
  return null;
}
