import { useLayoutEffect, useRef } from "preact/hooks";
import { MESSAGE_BYTES_MAX } from "../limits.ts";
import type { Changes, Editing } from "../models/changes.ts";
import { bytesOf, charactersOver, trimmed } from "../models/split.ts";
import { strings } from "../strings.ts";
import { focusComposer } from "./keyboard.ts";
import { isTouch } from "./platform.ts";

/** In the place of a message's text: another one. Enter saves, Escape cancels; the focus goes back to where it was. */
export function MessageEditor({ changes, editing }: { changes: Changes; editing: Editing }) {
  const text = useRef<HTMLTextAreaElement>(null);
  const opener = useRef<Element | null>(null);
  const body = trimmed(editing.text);
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

  useLayoutEffect(() => {
    const element = text.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  }, [editing.text]);

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
      <textarea
        ref={text}
        class="message-editor-text"
        rows={1}
        aria-label={strings.room.editLabel}
        aria-invalid={problem !== null}
        aria-describedby="message-editor-status"
        value={editing.text}
        dir="auto"
        autocomplete="off"
        onInput={(event) => changes.write(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.isComposing) return;
          if (event.key === "Escape") cancel();
          else if (event.key === "Enter" && !event.shiftKey && !isTouch()) void save();
          else return;
          event.preventDefault();
          event.stopPropagation();
        }}
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
