import { SendHorizontal } from "lucide";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { MESSAGE_BYTES_MAX, TYPING_SEND_EVERY_MS } from "../limits.ts";
import type { Chat } from "../models/chat.ts";
import type { Room } from "../models/room.ts";
import { strings } from "../strings.ts";
import { Icon } from "./Icon.tsx";
import { scrollMessages } from "./keyboard.ts";
import { isTouch } from "./platform.ts";

const { composer } = strings;
const encoder = new TextEncoder();

/** Bytes before the limit at which the person is told what is left. */
const NEARLY_FULL_BYTES = 1_000;

/** Where messages are written. Works without a connection: what is sent then waits in the outbox. */
export function Composer({ chat, room }: { chat: Chat; room: Room }) {
  const text = useRef<HTMLTextAreaElement>(null);
  const typingSent = useRef(0);
  const draft = room.draft.value;
  const body = draft.trim();
  // Cheap first: a character is at most three bytes per UTF-16 unit.
  const bytes = body.length * 3 > MESSAGE_BYTES_MAX - NEARLY_FULL_BYTES ? encoder.encode(body).length : 0;
  const left = MESSAGE_BYTES_MAX - bytes;

  useEffect(() => {
    room.draft.value = room.draft.peek() || chat.settings.draft(room.id);
    if (!isTouch() || chat.welcome.peek()?.first) text.current?.focus();
  }, [chat, room]);

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
    room.draft.value = value;
    chat.settings.saveDraft(room.id, value);
    const now = Date.now();
    if (value.trim() === "" || now - typingSent.current < TYPING_SEND_EVERY_MS) return;
    typingSent.current = now;
    chat.live.typing(room.id);
  };

  const send = (): void => {
    if (body === "" || left < 0) return;
    chat.outbox.add(room.id, body, Date.now());
    write("");
    typingSent.current = 0;
  };

  return (
    <form
      class={left < 0 ? "composer composer-too-long" : "composer"}
      onSubmit={(event) => {
        event.preventDefault();
        send();
        text.current?.focus();
      }}
    >
      <div class="composer-box">
        <textarea
          ref={text}
          id="composer"
          class="composer-text"
          rows={1}
          aria-label={composer.label}
          aria-describedby="composer-status"
          aria-invalid={left < 0}
          placeholder={composer.placeholder(room.info.value.name)}
          value={draft}
          dir="auto"
          autocomplete="off"
          enterkeyhint="send"
          onInput={(event) => write(event.currentTarget.value)}
          onKeyDown={(event) => {
            const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey && !event.isComposing;
            if (plain && (event.key === "PageUp" || event.key === "PageDown")) {
              event.preventDefault();
              scrollMessages(event.key === "PageUp" ? -1 : 1);
              return;
            }
            const last = plain && event.key === "ArrowUp" && draft === "" ? room.changes.last() : null;
            if (last) {
              event.preventDefault();
              room.changes.edit(last.id, last.body ?? "");
              return;
            }
            // While an input method composes, Enter picks a word.
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            send();
          }}
        />
        <button type="submit" class="composer-send" aria-label={composer.send} title={composer.send} disabled={body === "" || left < 0}>
          <Icon of={SendHorizontal} />
        </button>
      </div>
      <p id="composer-status" class="composer-status" role="status">
        {left < 0 ? composer.tooLong(bytes, MESSAGE_BYTES_MAX) : bytes > 0 && left < NEARLY_FULL_BYTES ? composer.nearlyFull(left) : ""}
      </p>
    </form>
  );
}

/** As high as its text; at most eight lines, by its max-height. */
function fit(element: HTMLTextAreaElement | null): void {
  if (!element) return;
  element.style.height = "auto";
  if (element.value !== "") element.style.height = `${element.scrollHeight}px`;
}
