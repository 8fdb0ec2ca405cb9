import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { EmojiEntry } from "../emoji.ts";
import type { Chat } from "../models/chat.ts";
import { allEmoji, findEmoji, withRecent } from "../models/emoji.ts";
import type { Layout } from "../models/layout.ts";
import { strings } from "../strings.ts";
import { isTouch } from "./platform.ts";

const { emoji: words } = strings;

/** Where an emoji is looked for: those used lately, all of them by groups, or what is typed. Escape or a click beside it closes it. */
export function EmojiPicker({ chat, layout }: { chat: Chat; layout: Layout }) {
  const asked = layout.picker.value;
  const dialog = useRef<HTMLDialogElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const [groups, setGroups] = useState<readonly (readonly EmojiEntry[])[] | null>(null);
  const [failed, setFailed] = useState(false);
  const [query, setQuery] = useState("");
  const [recent] = useState(() => chat.settings.recentEmoji);

  useEffect(() => {
    allEmoji().then(setGroups, () => setFailed(true));
  }, []);

  useLayoutEffect(() => {
    const element = dialog.current;
    if (!element) return;
    // What was there when it was opened may be gone by now: a message's buttons go with the pointer.
    const article = asked?.opener?.closest("article");
    element.showModal();
    place(element, asked?.opener ?? null);
    // A keyboard on the screen would cover what is to be chosen from.
    if (isTouch()) element.focus();
    return () => {
      element.close();
      if (document.activeElement !== document.body) return;
      const back = asked?.opener?.isConnected ? asked.opener : article;
      back?.focus();
    };
  }, [asked]);

  const close = (): void => {
    layout.picker.value = null;
  };
  const pick = (emoji: string): void => {
    chat.settings.recentEmoji = withRecent(chat.settings.recentEmoji, emoji);
    dialog.current?.close();
    close();
    asked?.onPick(emoji);
  };
  const move = (event: KeyboardEvent): void => {
    const buttons = [...(list.current?.querySelectorAll<HTMLElement>("button") ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLElement);
    const next = at < 0 ? (event.key === "ArrowDown" ? buttons[0] : undefined) : neighbour(buttons, at, event.key);
    if (!next) return;
    event.preventDefault();
    next.focus();
  };

  const found = groups && query.trim() !== "" ? findEmoji(groups, query) : null;
  const named = new Map(groups?.flat().map(([emoji, name]) => [emoji, name]));
  const section = (title: string, entries: readonly (readonly [string, string, ...unknown[]])[]) =>
    entries.length > 0 && (
      <section key={title} class="emoji-group">
        <h3>{title}</h3>
        <div class="emoji-grid">
          {entries.map(([emoji, name]) => (
            <button key={emoji} type="button" class="emoji-button" aria-label={name} title={name} tabIndex={-1} onClick={() => pick(emoji)}>
              {emoji}
            </button>
          ))}
        </div>
      </section>
    );

  return (
    <dialog
      ref={dialog}
      class="emoji-picker"
      tabIndex={-1}
      aria-label={words.title}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onPointerDown={(event) => {
        if (event.target === dialog.current) close();
      }}
      onKeyDown={move}
    >
      <form
        class="emoji-search"
        onSubmit={(event) => {
          event.preventDefault();
          const [first] = found ?? [];
          if (first) pick(first[0]);
        }}
      >
        <input
          type="search"
          aria-label={words.search}
          placeholder={words.search}
          autocomplete="off"
          value={query}
          onInput={(event) => setQuery(event.currentTarget.value)}
        />
      </form>
      <p class="visually-hidden" role="status">
        {found ? words.found(found.length) : ""}
      </p>
      <div ref={list} class="emoji-list">
        {failed && (
          <p class="problem" role="alert">
            {words.failed}
          </p>
        )}
        {found ? section(words.results, found) || <p class="emoji-none">{words.none}</p> : null}
        {!found && section(words.recent, recent.map((emoji) => [emoji, named.get(emoji) ?? emoji] as const))}
        {!found && groups?.map((group, at) => section(words.groups[at] ?? "", group))}
      </div>
    </dialog>
  );
}

/** Beside what it was opened by, wherever there is room; on a narrow screen its stylesheet places it. */
function place(element: HTMLElement, opener: Element | null): void {
  if (!opener) return;
  const [own, at] = [element.getBoundingClientRect(), opener.getBoundingClientRect()];
  const above = at.top > innerHeight - at.bottom;
  const top = above ? at.top - own.height - 8 : at.bottom + 8;
  const left = Math.min(Math.max(8, at.right - own.width), innerWidth - own.width - 8);
  element.style.setProperty("--top", `${Math.max(8, Math.min(top, innerHeight - own.height - 8))}px`);
  element.style.setProperty("--left", `${Math.max(8, left)}px`);
}

function neighbour(buttons: HTMLElement[], at: number, key: string): HTMLElement | undefined {
  if (key === "ArrowRight") return buttons[at + 1];
  if (key === "ArrowLeft") return buttons[at - 1];
  if (key === "Home") return buttons[0];
  if (key === "End") return buttons.at(-1);
  if (key !== "ArrowUp" && key !== "ArrowDown") return undefined;
  const from = buttons[at]?.getBoundingClientRect();
  if (!from) return undefined;
  const ordered = key === "ArrowDown" ? buttons.slice(at + 1) : buttons.slice(0, at).reverse();
  const isBeyond = (box: DOMRect): boolean => (key === "ArrowDown" ? box.top >= from.bottom - 1 : box.bottom <= from.top + 1);
  const first = ordered.find((button) => isBeyond(button.getBoundingClientRect()));
  if (!first) return undefined;
  const row = first.getBoundingClientRect().top;
  const inRow = ordered.filter((button) => Math.abs(button.getBoundingClientRect().top - row) < 2);
  return inRow.sort((a, b) => Math.abs(a.getBoundingClientRect().left - from.left) - Math.abs(b.getBoundingClientRect().left - from.left))[0];
}
