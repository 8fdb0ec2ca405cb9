import { CaseSensitive, CornerUpRight, SendHorizontal, Smile, X } from "lucide";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { EVERYBODY_ASKED_ABOVE, MESSAGE_BYTES_MAX, NEARLY_FULL_BYTES, SPLIT_MESSAGES_MAX, TYPING_SEND_EVERY_MS } from "../limits.ts";
import type { Chat } from "../models/chat.ts";
import { format, type Format } from "../models/format.ts";
import type { Layout } from "../models/layout.ts";
import { isDirect } from "../models/kinds.ts";
import { labelsOf, linked, mentionsEverybody, moved, NOTHING_WRITTEN, shownSource, sourceOf, type Written } from "../models/mentions.ts";
import type { Room } from "../models/room.ts";
import type { Thread } from "../models/thread.ts";
import { bytesOf, charactersIn, charactersOver, split, trimmed } from "../models/split.ts";
import { strings } from "../strings.ts";
import { Icon } from "./Icon.tsx";
import { scrollMessages } from "./keyboard.ts";
import { edit, MessageField } from "./MessageField.tsx";
import { isTouch } from "./platform.ts";
import { formatOf, Toolbar } from "./Toolbar.tsx";

const { composer } = strings;

/** Where messages are written. Works without a connection: what is sent then waits in the outbox. */
export function Composer({ chat, room, layout, thread }: { chat: Chat; room: Room; layout: Layout; thread?: Thread }) {
  const place = thread ?? room;
  const id = thread ? "thread-composer" : "composer";
  const text = useRef<HTMLTextAreaElement>(null);
  const typingSent = useRef(0);
  const written: Written = { text: place.draft.value, mentions: place.mentions.value };
  const replyTo = place.replyTo.value;
  // Names that were written out count, as far as the members are known here.
  const meant = linked(written, chat.namesIn(room));
  const body = trimmed(sourceOf(meant));
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

  const write = (next: Written): void => {
    place.write(next);
    chat.settings.saveDraft(place.key, next.text);
    chat.settings.saveMentions(place.key, next.mentions);
    // Who is in the room, and not in the thread, need not wait for anything.
    if (thread) return;
    const now = Date.now();
    if (next.text.trim() === "" || now - typingSent.current < TYPING_SEND_EVERY_MS) return;
    typingSent.current = now;
    chat.live.typing(room.id);
  };

  const post = (texts: readonly string[], labels: ReadonlyMap<string, string>, everybody: boolean): void => {
    // Each of its own millisecond: by that they are sorted after a reload.
    const now = Date.now();
    const where = thread && { thread: thread.root, ...(thread.alsoInRoom.peek() && { also_in_room: true }) };
    texts.forEach((source, at) => {
      const shown = shownSource(source, labels);
      const reply = at === 0 ? replyTo : null;
      chat.outbox.add(room.id, source, now + at, reply, { ...where, ...(shown !== source && { shown }), ...(everybody && { everybody }) });
    });
    if (thread) thread.alsoInRoom.value = false;
    chat.answer(place, null);
    write(NOTHING_WRITTEN);
    typingSent.current = 0;
  };

  const send = (texts: readonly string[]): void => {
    if (body === "") return;
    const labels = labelsOf(meant);
    const { members } = room.info.peek();
    const tellsMany = members > EVERYBODY_ASKED_ABOVE && chat.mayMentionEverybody && texts.some(mentionsEverybody);
    if (!tellsMany) post(texts, labels, false);
    else layout.dialog.value = { name: "tell-everybody", members, send: () => post(texts, labels, true) };
  };

  const put = (element: HTMLTextAreaElement, emoji: string): void => {
    if (!element.isConnected) return;
    const { selectionStart: from, selectionEnd: to } = element;
    edit(element, { from, to, text: emoji, start: from + emoji.length, end: from + emoji.length });
    write(moved(written, element.value));
  };

  const apply = (kind: Format): void => {
    const element = text.current;
    if (!element) return;
    edit(element, format(kind, element.value, element.selectionStart, element.selectionEnd));
    write(moved(written, element.value));
  };

  const showToolbar = (shown: boolean): void => {
    chat.settings.saveToolbar(shown);
    setToolbar(shown);
  };

  /** Whether the key was taken. */
  const keys = (event: KeyboardEvent): boolean => {
    const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey && !event.isComposing;
    const kind = event.isComposing ? null : formatOf(event);
    const last = plain && event.key === "ArrowUp" && written.text === "" ? place.changes.last() : null;
    if (event.key === "Escape" && replyTo && !event.isComposing) {
      event.stopPropagation();
      chat.answer(place, null);
    } else if (plain && (event.key === "PageUp" || event.key === "PageDown")) {
      scrollMessages(event.key === "PageUp" ? -1 : 1, thread ? "thread" : "messages");
    } else if (kind) {
      apply(kind);
    } else if (last && document.querySelector(`[data-region=${thread ? "thread" : "messages"}] [data-number="${last.number}"]`)) {
      // Further up than is drawn it is edited in its place.
      chat.edit(place.changes, last);
    } else {
      return false;
    }
    event.preventDefault();
    return true;
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
      <div class="composer-box">
        {toolbar && <Toolbar onFormat={apply} />}
        <div class="composer-row">
          <MessageField
            chat={chat}
            room={room}
            field={text}
            id={id}
            class="composer-text"
            label={thread ? strings.threads.label : composer.label}
            status={`${id}-status`}
            invalid={left < 0}
            placeholder={thread ? strings.threads.placeholder : composer.placeholder(room.info.value.name)}
            written={written}
            onWrite={write}
            onKey={keys}
            onSubmit={() => {
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
              if (element) layout.pickEmoji(event.currentTarget, (emoji) => put(element, emoji));
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
