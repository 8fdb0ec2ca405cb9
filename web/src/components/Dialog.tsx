import { X } from "lucide";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { strings } from "../strings.ts";
import { Icon } from "./Icon.tsx";

type Props = {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  wide?: boolean;
  size?: "settings";
  /** Where to begin: where there is something to fill in or to decide, unless something else is said; not at the cross. */
  first?: string;
};

/** A modal dialog. Escape, the cross and a click beside it close it; focus returns to where it was. */
export function Dialog({ title, onClose, children, wide = false, size, first = "input, .dialog-actions button" }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const close = useRef(onClose);
  close.current = onClose;
  const begin = useRef(first);

  useEffect(() => {
    const opener = document.activeElement;
    const element = dialog.current;
    element?.showModal();
    element?.querySelector<HTMLElement>(begin.current)?.focus();
    return () => {
      element?.close();
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);

  return (
    <dialog
      ref={dialog}
      class={size ? `dialog dialog-${size}` : wide ? "dialog dialog-wide" : "dialog"}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        close.current();
      }}
      onPointerDown={(event) => {
        if (event.target === dialog.current) close.current();
      }}
    >
      <div class="dialog-content">
        <header class="dialog-header">
          <h2 id={heading}>{title}</h2>
          <button type="button" class="icon-button" aria-label={strings.dialog.close} onClick={() => close.current()}>
            <Icon of={X} />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
