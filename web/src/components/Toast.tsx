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
  const hadFocus = useRef(false);
  const message = undo?.problem === null ? undo.message : null;

  // Whoever deleted has the way back at hand: what had the focus, the button of the message, is gone. Nobody's focus is
  // taken who has gone on to something else.
  useEffect(() => {
    const focused = document.activeElement;
    if (focused !== document.body && focused !== null) return;
    // The button goes away with what it undoes, and the focus must not go with it.
    if (message !== null) button.current?.focus();
    else if (hadFocus.current) focusComposer();
    hadFocus.current = message !== null;
  }, [message]);

  // The way back stays for as long as it is one.
  const text = message !== null ? strings.room.deleted : (notice ?? undo?.problem ?? null);
  return (
    <div class="toast-place">
      <div class={text === null ? "toast toast-empty" : "toast"} data-testid="toast" onFocusIn={() => (hadFocus.current = true)} onFocusOut={(event) => event.relatedTarget !== null && (hadFocus.current = false)}>
        <span role="status">{text}</span>
        {message !== null && (
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
