import { X } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import type { Chat } from "../models/chat.ts";
import { strings } from "../strings.ts";
import { Icon } from "./Icon.tsx";
import { focusComposer } from "./keyboard.ts";

/** A short line over the composer: what was just done, and the way back while there is one. */
export function Toast({ chat }: { chat: Chat }) {
  const undo = chat.undo.value;
  const notice = chat.notice.value;
  const button = useRef<HTMLButtonElement>(null);
  const root = useRef<HTMLDivElement>(null);
  const message = undo?.problem === null ? undo.message : null;

  // Whoever deleted has the way back at hand: what had the focus, the button of the message, is gone. Nobody's focus is
  // taken who has gone on to something else.
  useEffect(() => {
    const focused = document.activeElement;
    if (message !== null && (focused === document.body || focused === null)) button.current?.focus();
    const element = root.current;
    return () => {
      if (element?.contains(document.activeElement)) focusComposer();
    };
  }, [message]);

  const text = notice ?? (undo ? (undo.problem ?? strings.room.deleted) : null);
  return (
    <div class="toast-place">
      <div ref={root} class={text === null ? "toast toast-empty" : "toast"} data-testid="toast">
        <span role="status">{text}</span>
        {notice === null && message !== null && (
          <button ref={button} type="button" class="link-button toast-action" onClick={() => void undo?.undo()}>
            {strings.room.undo}
          </button>
        )}
        {text !== null && (
          <button type="button" class="icon-button" aria-label={strings.invite.dismiss} onClick={() => chat.dismissToast()}>
            <Icon of={X} size={16} />
          </button>
        )}
      </div>
    </div>
  );
}
