import { CaseSensitive, CornerUpRight, SendHorizontal, Smile, X } from "lucide";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { EMOJI_OFFERED_MAX, MESSAGE_BYTES_MAX, NEARLY_FULL_BYTES, SPLIT_MESSAGES_MAX, TYPING_SEND_EVERY_MS } from "../limits.ts";
import type { EmojiEntry } from "../emoji.ts";
import type { Chat } from "../models/chat.ts";
import { allEmoji, byShortcode, findEmoji, shortcodeBefore, shortcodeClosed } from "../models/emoji.ts";
import { format, type Edit, type Format } from "../models/format.ts";
import type { Layout } from "../models/layout.ts";
import { isDirect } from "../models/kinds.ts";
import type { Room } from "../models/room.ts";
import type { Thread } from "../models/thread.ts";
import { bytesOf, charactersIn, charactersOver, split, trimmed } from "../models/split.ts";
import { strings } from "../strings.ts";
import { Icon } from "./Icon.tsx";
import { scrollMessages } from "./keyboard.ts";
import { isTouch } from "./platform.ts";
import { Suggestions } from "./Suggestions.tsx";
import { formatOf, Toolbar } from "./Toolbar.tsx";

const { composer } = strings;

/** Emoji whose short name may be meant by what is written from there on, and the one that Enter takes. */
type Offered = { from: number; items: readonly EmojiEntry[]; active: number };
const NOTHING: Offered = { from: 0, items: [], active: 0 };

/** Where messages are written. Works without a connection: what is sent then waits in the outbox. */
export function Composer({ chat, room, layout, thread }: { chat: Chat; room: Room; layout: Layout; thread?: Thread }) {
  const place = thread ?? room;
  const id = thread ? "thread-composer" : "composer";
  const text = useRef<HTMLTextAreaElement>(null);
  const typingSent = useRef(0);
  const draft = place.draft.value;
  const replyTo = place.replyTo.value;
  const body = trimmed(draft);
  // Cheap first: a character is at most three bytes per UTF-16 unit.
  const bytes = body.length * 3 > MESSAGE_BYTES_MAX - NEARLY_FULL_BYTES ? bytesOf(body) : 0;
  const left = MESSAGE_BYTES_MAX - bytes;
  const isSplit = left < 0 && bytes <= SPLIT_MESSAGES_MAX * MESSAGE_BYTES_MAX;
  const parts = useMemo(() => (isSplit ? split(body, MESSAGE_BYTES_MAX) : []), [body, isSplit]);
  // Where there is little room, whoever wants the buttons asks for them.
  const [toolbar, setToolbar] = useState(() => chat.settings.toolbar() ?? !matchMedia("(max-width: 559.98px), (pointer: coarse)").matches);

  useEffect(() => {
    // Whoever follows a link to an answer has the focus there.
    if (thread && document.activeElement?.closest("[data-region=thread]")) return;
    if (!isTouch() || chat.welcome.peek()?.first) text.current?.focus();
  }, [chat, place, thread]);

  useLayoutEffect(() => fit(text.current), [draft]);

  useEffect(() => {
    const element = text.current;
    if (!element) return;
    let width = element.clientWidth;
    const resized = new ResizeObserver(() => {
      if (element.clientWidth === width) return;
      width = element.clientWidth;
      fit(element);
    });
    resized.observe(element);
    return () => resized.disconnect();
  }, []);

  const write = (value: string): void => {
    place.draft.value = value;
    chat.settings.saveDraft(place.key, value);
    // Who is in the room, and not in the thread, need not wait for anything.
    if (thread) return;
    const now = Date.now();
    if (value.trim() === "" || now - typingSent.current < TYPING_SEND_EVERY_MS) return;
    typingSent.current = now;
    chat.live.typing(room.id);
  };

  const send = (texts: readonly string[]): void => {
    if (body === "") return;
    // Each of its own millisecond: by that they are sorted after a reload.
    const now = Date.now();
    const where = thread && { thread: thread.root, ...(thread.alsoInRoom.peek() && { also_in_room: true }) };
    texts.forEach((text, at) => chat.outbox.add(room.id, text, now + at, at === 0 ? replyTo : null, where));
    if (thread) thread.alsoInRoom.value = false;
    chat.answer(place, null);
    write("");
    typingSent.current = 0;
  };

  // What a short name that is being written may mean; none where it was waved away.
  const [offered, setOffered] = useState<Offered>(NOTHING);
  const offer = async (element: HTMLTextAreaElement): Promise<void> => {
    const { value, selectionStart: caret } = element;
    const written = shortcodeBefore(value, caret);
    const closed = shortcodeClosed(value, caret);
    if (!written && !closed) {
      setOffered(NOTHING);
      return;
    }
    const groups = await allEmoji().catch(() => []);
    // Somebody who types goes on while they are loaded, or elsewhere.
    if (!isHere(element) || element.value !== value || element.selectionStart !== caret) return;
    const meant = closed ? byShortcode(groups, closed.code) : null;
    if (closed && meant) put(element, closed.from, caret, meant);
    const items = written ? findEmoji(groups, written.code).slice(0, EMOJI_OFFERED_MAX) : [];
    setOffered(written && items.length > 0 ? { from: written.from, items, active: 0 } : NOTHING);
  };
  const isHere = (element: HTMLTextAreaElement): boolean => element.isConnected && chat.room.peek() === room;
  const put = (element: HTMLTextAreaElement, from: number, to: number, emoji: string): void => {
    if (!isHere(element)) return;
    edit(element, { from, to, text: emoji, start: from + emoji.length, end: from + emoji.length });
    write(element.value);
    setOffered(NOTHING);
  };
  const take = (index: number): void => {
    const [element, item] = [text.current, offered.items[index]];
    if (element && item) put(element, offered.from, element.selectionStart, `${item[0]} `);
  };
  /** Whether the key was for what is offered. */
  const steer = (event: KeyboardEvent): boolean => {
    const { items, active } = offered;
    if (items.length === 0 || event.isComposing || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) setOffered({ ...offered, active: (active + step + items.length) % items.length });
    else if (event.key === "Enter" || event.key === "Tab") take(active);
    else if (event.key === "Escape") setOffered(NOTHING);
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  };

  const apply = (kind: Format): void => {
    const element = text.current;
    if (!element) return;
    edit(element, format(kind, element.value, element.selectionStart, element.selectionEnd));
    write(element.value);
  };

  const showToolbar = (shown: boolean): void => {
    chat.settings.saveToolbar(shown);
    setToolbar(shown);
  };

  return (
    <form
      class={left < 0 ? "composer composer-too-long" : "composer"}
      onSubmit={(event) => {
        event.preventDefault();
        if (left >= 0) send([body]);
        text.current?.focus();
      }}
    >
      {/* There before it says anything, so that it is read out. */}
      <div class={replyTo ? "composer-reply" : undefined}>
        {replyTo && <Icon of={CornerUpRight} size={14} />}
        <p key="status" class="composer-reply-text" role="status">
          {replyTo && (
            <>
              <strong>{composer.replyingTo(replyTo.author.name)}</strong> <bdi>{replyTo.text}</bdi>
            </>
          )}
        </p>
        {replyTo && (
          <button
            type="button"
            class="icon-button"
            aria-label={composer.cancelReply}
            title={composer.cancelReply}
            onClick={() => {
              chat.answer(place, null);
              text.current?.focus();
            }}
          >
            <Icon of={X} size={16} />
          </button>
        )}
      </div>
      {offered.items.length > 0 && (
        <Suggestions
          id={`${id}-offered`}
          label={strings.emoji.offered}
          items={offered.items.map(([emoji, name, [code = ""]]) => ({ key: emoji, icon: emoji, label: name, ...(code && { hint: `:${code}:` }) }))}
          active={offered.active}
          onPick={take}
        />
      )}
      <div class="composer-box">
        {toolbar && <Toolbar onFormat={apply} />}
        <div class="composer-row">
          <textarea
            ref={text}
            id={id}
            class="composer-text"
            rows={1}
            aria-label={thread ? strings.threads.label : composer.label}
            aria-describedby={`${id}-status`}
            aria-invalid={left < 0}
            placeholder={thread ? strings.threads.placeholder : composer.placeholder(room.info.value.name)}
            value={draft}
            dir="auto"
            autocomplete="off"
            enterkeyhint={isTouch() ? "enter" : "send"}
            aria-autocomplete="list"
            aria-controls={offered.items.length > 0 ? `${id}-offered` : undefined}
            aria-activedescendant={offered.items.length > 0 ? `${id}-offered-${offered.active}` : undefined}
            onInput={(event) => {
              write(event.currentTarget.value);
              void offer(event.currentTarget);
            }}
            onBlur={() => setOffered(NOTHING)}
            onKeyDown={(event) => {
              if (steer(event)) return;
              if (event.key === "Escape" && replyTo && !event.isComposing) {
                event.preventDefault();
                event.stopPropagation();
                chat.answer(place, null);
                return;
              }
              const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey && !event.isComposing;
              if (plain && (event.key === "PageUp" || event.key === "PageDown")) {
                event.preventDefault();
                scrollMessages(event.key === "PageUp" ? -1 : 1, thread ? "thread" : "messages");
                return;
              }
              const kind = event.isComposing ? null : formatOf(event);
              if (kind) {
                event.preventDefault();
                apply(kind);
                return;
              }
              const last = plain && event.key === "ArrowUp" && draft === "" ? place.changes.last() : null;
              // Further up than is drawn it is edited in its place.
              if (last && document.querySelector(`[data-region=${thread ? "thread" : "messages"}] [data-number="${last.number}"]`)) {
                event.preventDefault();
                place.changes.edit(last.id, last.body ?? "");
                return;
              }
              // While an input method composes, Enter picks a word. A keyboard on the screen has no other key for a new line.
              if (event.key !== "Enter" || event.shiftKey || event.isComposing || (plain && isTouch())) return;
              event.preventDefault();
              if (left >= 0) send([body]);
            }}
          />
          <button
            type="button"
            class="icon-button composer-format"
            aria-label={composer.emoji}
            title={composer.emoji}
            aria-haspopup="dialog"
            onClick={(event) => {
              const element = text.current;
              if (element) layout.pickEmoji(event.currentTarget, (emoji) => put(element, element.selectionStart, element.selectionEnd, emoji));
            }}
          >
            <Icon of={Smile} />
          </button>
          <button
            type="button"
            class="icon-button composer-format"
            aria-label={toolbar ? composer.hideToolbar : composer.showToolbar}
            title={toolbar ? composer.hideToolbar : composer.showToolbar}
            aria-expanded={toolbar}
            onPointerDown={(event) => event.preventDefault()}
            onClick={() => showToolbar(!toolbar)}
          >
            <Icon of={CaseSensitive} />
          </button>
          <button type="submit" class="composer-send" aria-label={composer.send} title={composer.send} disabled={body === "" || left < 0}>
            <Icon of={SendHorizontal} />
          </button>
        </div>
      </div>
      {thread && (
        <label class="also-in-room">
          <input type="checkbox" checked={thread.alsoInRoom.value} onChange={(event) => (thread.alsoInRoom.value = event.currentTarget.checked)} />
          <span>{isDirect(room.info.value) ? strings.threads.alsoDirect : strings.threads.also(room.info.value.name)}</span>
        </label>
      )}
      <div class="composer-foot">
        <p id={`${id}-status`} class="composer-status" role="status">
          {left < 0
            ? composer.tooLong(charactersOver(body, MESSAGE_BYTES_MAX))
            : bytes > 0 && left < NEARLY_FULL_BYTES
              ? composer.nearlyFull(charactersIn(left, body))
              : ""}
        </p>
        {isSplit && parts.length <= SPLIT_MESSAGES_MAX && (
          <button
            type="button"
            class="link-button"
            onClick={() => {
              send(parts);
              text.current?.focus();
            }}
          >
            {composer.sendAs(parts.length)}
          </button>
        )}
      </div>
    </form>
  );
}

/** Changes a text so that Ctrl+Z takes it back. */
function edit(element: HTMLTextAreaElement, { from, to, text, start, end }: Edit): void {
  element.focus();
  element.setSelectionRange(from, to);
  // The only way that keeps what can be undone; a browser without it loses that and nothing else.
  // eslint-disable-next-line @typescript-eslint/no-deprecated
  const done = text === "" ? document.execCommand("delete") : document.execCommand("insertText", false, text);
  if (!done) element.setRangeText(text, from, to);
  element.setSelectionRange(start, end);
}

/** As high as its text; at most eight lines, by its max-height. */
function fit(element: HTMLTextAreaElement | null): void {
  if (!element) return;
  element.style.height = "auto";
  if (element.value !== "") element.style.height = `${element.scrollHeight}px`;
}
