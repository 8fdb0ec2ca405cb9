/** Where the messages of a list are on the screen, and the keys that lead from one to the other. */
import { isArchived } from "../models/kinds.ts";
import type { MessageRow } from "../models/rows.ts";
import { changesIn, startReacting, startReplying, startThread, type ActionsContext } from "./MessageActions.tsx";
import { focusComposer, isTyping } from "./keyboard.ts";

/** A line that must not move while the list changes around it: its element's key, and its distance from the top. */
export type Anchor = { key: string; top: number };

/** Brings an event into the middle of the view, the focus to it, and the eye. */
export function point(scroller: HTMLElement, number: number): void {
  const row = scroller.querySelector<HTMLElement>(`[data-number="${number}"]`);
  if (!row) return;
  scroller.scrollTop += topOf(row, scroller) - Math.max(0, (scroller.clientHeight - row.offsetHeight) / 2);
  row.focus({ preventScroll: true });
  row.classList.add("message-target");
  row.addEventListener("animationend", () => row.classList.remove("message-target"), { once: true });
}

export function rowByKey(list: HTMLElement | null, key: string): HTMLElement | null {
  return list?.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`) ?? null;
}

export function topOf(row: HTMLElement, scroller: HTMLElement): number {
  return row.getBoundingClientRect().top - scroller.getBoundingClientRect().top;
}

/**
 * The lines in view that can hold the list in place: messages, or notes where there is no message. A day's separator
 * cannot, because it moves up to whatever is older on that day.
 */
export function visible(list: HTMLElement | null, scroller: HTMLElement): Anchor[] {
  const bottom = scroller.scrollTop + scroller.clientHeight;
  const found: Anchor[] = [];
  for (const row of list?.querySelectorAll<HTMLElement>("article, .note") ?? []) {
    if (row.offsetTop + row.offsetHeight <= scroller.scrollTop) continue;
    if (row.offsetTop >= bottom && found.length > 0) break;
    found.push({ key: row.dataset.key ?? "", top: topOf(row, scroller) });
  }
  return found.sort((a, b) => Number(a.key.startsWith("n-")) - Number(b.key.startsWith("n-")));
}

/** A letter goes to the composer. Arrows move by message, Home and End to the first and the last one shown. */
export function moveByMessage(event: KeyboardEvent, context: ActionsContext, rowOf: (number: number) => MessageRow | undefined): void {
  const { chat, room } = context;
  if (event.defaultPrevented || isTyping(event.target) || (event.target as Element).closest("[role=menu]")) return;
  const scroller = event.currentTarget as HTMLElement;
  const isLetter = Array.from(event.key).length === 1 && event.key !== " " && event.key !== "?";
  const focusedMessage = (event.target as Element).matches("article") ? (event.target as HTMLElement).dataset.number : undefined;
  const plain = !event.altKey && !event.ctrlKey && !event.metaKey;
  const writable = plain && !isArchived(room.info.peek());
  const row = writable && focusedMessage !== undefined ? rowOf(Number(focusedMessage)) : undefined;
  const id = row?.id ?? null;
  if (row && id !== null && !row.deleted) {
    const act = {
      e: row.author.id === chat.me.id ? () => chat.edit(changesIn(context), { id, body: row.body, content: row.content ?? undefined }) : undefined,
      r: () => startReplying(row, context),
      t: context.thread ? undefined : () => startThread(row, context),
      "+": () => startReacting(row, context, event.target as HTMLElement),
    }[event.key];
    if (act) {
      event.preventDefault();
      act();
      return;
    }
  }
  if (isLetter && !event.altKey && !event.ctrlKey && !event.metaKey && (event.target as Element).matches("article, [role=log]")) {
    focusComposer(context); // before the letter lands, so that it lands there
    return;
  }
  if (event.altKey || event.ctrlKey || event.metaKey || !["ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) return;
  const messages = [...scroller.querySelectorAll<HTMLElement>("article")];
  const focused = document.activeElement?.closest("article");
  const at = focused ? messages.indexOf(focused) : messages.length;
  const next = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: messages.length - 1 }[event.key] ?? 0;
  event.preventDefault();
  const message = messages[Math.max(0, Math.min(next, messages.length - 1))];
  if (next >= messages.length && focused) focusComposer(context);
  else message?.focus();
}
