import { useLayoutEffect, useRef } from "preact/hooks";
import { MESSAGE_BYTES_MAX } from "../limits.ts";
import type { Chat } from "../models/chat.ts";
import type { Changes, Editing } from "../models/changes.ts";
import { sourceOf } from "../models/mentions.ts";
import type { Room } from "../models/room.ts";
import { bytesOf, charactersOver, trimmed } from "../models/split.ts";
import { strings } from "../strings.ts";
import { focusComposer } from "./keyboard.ts";
import { MessageField } from "./MessageField.tsx";
import { isTouch } from "./platform.ts";

/** In the place of a message's text: another one. Enter saves, Escape cancels; the focus goes back to where it was. */
type Props = { chat: Chat; room: Room; changes: Changes; editing: Editing };

export function MessageEditor({ chat, room, changes, editing }: Props) {
  const text = useRef<HTMLTextAreaElement>(null);
  const opener = useRef<Element | null>(null);
  const body = trimmed(sourceOf(editing.written));
  // Cheap first: a character is at most three bytes per UTF-16 unit.
  const isTooLong = body.length * 3 > MESSAGE_BYTES_MAX && bytesOf(body) > MESSAGE_BYTES_MAX;
  const problem = isTooLong ? strings.composer.tooLong(charactersOver(body, MESSAGE_BYTES_MAX)) : editing.problem;
  const canSave = body !== "" && !isTooLong && !editing.saving;

  // Before it is painted: whoever types at once types into it.
  useLayoutEffect(() => {
    const element = text.current;
    if (!changes.takeFocus()) return;
    opener.current = document.activeElement;
    element?.focus();
    element?.setSelectionRange(element.value.length, element.value.length);
    element?.closest("article")?.scrollIntoView({ block: "nearest" });
  }, [changes]);

  // Back to where the person came from: the composer, or the message, whose button is gone by now.
  const leaveTo = (article: HTMLElement | null | undefined): void => {
    const from = opener.current?.id;
    if (from === "composer" || from === "thread-composer" || !article?.isConnected) {
      focusComposer(from === "thread-composer" ? { thread: true } : {});
      return;
    }
    article.focus();
    // The element that had the focus went away with what it was in, which no event tells of everywhere.
    changes.active.value = article.dataset.key ?? null;
  };
  const cancel = (): void => {
    const article = text.current?.closest("article");
    changes.cancel();
    leaveTo(article);
  };
  const save = async (): Promise<void> => {
    if (!canSave) return;
    const article = text.current?.closest("article");
    const had = text.current?.closest("form")?.contains(document.activeElement);
    if ((await changes.save()) && had) leaveTo(article);
  };

  return (
    <form
      class="message-editor"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <MessageField
        chat={chat}
        room={room}
        field={text}
        id="message-editor"
        class="message-editor-text"
        label={strings.room.editLabel}
        status="message-editor-status"
        invalid={problem !== null}
        written={editing.written}
        onWrite={(written) => changes.write(written)}
        onKey={(event) => {
          if (event.isComposing || event.key !== "Escape") return false;
          cancel();
          event.preventDefault();
          event.stopPropagation();
          return true;
        }}
        onSubmit={() => void save()}
      />
      <p id="message-editor-status" class={problem ? "message-editor-status problem" : "message-editor-status"} role="status">
        {problem ?? (isTouch() ? "" : strings.room.editHint)}
      </p>
      <div class="message-editor-buttons">
        <button type="button" class="button" onClick={cancel}>
          {strings.room.editCancel}
        </button>
        <button type="submit" class="button button-primary" disabled={!canSave}>
          {strings.room.editSave}
        </button>
      </div>
    </form>
  );
}
