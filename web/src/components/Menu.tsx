import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";

export type MenuItem = {
  label: string;
  icon?: ComponentChildren;
  onSelect: () => void;
  /** Set for one of several choices. */
  checked?: boolean;
  danger?: boolean;
  /** A heading above it, for a group of choices. */
  group?: string;
};

type Props = {
  label: string;
  button: ComponentChildren;
  /** Whether the words of the button are its name; else the label is. */
  speaks?: boolean;
  items: MenuItem[];
  class?: string;
  /** Whether the list opens upwards; asked when it opens. */
  above?: boolean | (() => boolean);
  /** Open from the beginning, where something else than its button opened it. */
  opened?: boolean;
  align?: "start" | "end";
};

/** A button that opens a list of actions: arrows move, Escape and a click elsewhere close it. */
export function Menu({ label, button, speaks = false, items, class: name = "icon-button", above = false, opened = false, align = "end" }: Props) {
  const [open, setOpen] = useState(opened);
  const root = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const id = useId();

  // Before the menu is painted, so that no key reaches the button while the menu is already seen.
  useLayoutEffect(() => {
    if (open) root.current?.querySelector<HTMLElement>("[role^=menuitem]")?.focus();
  }, [open]);

  useEffect(() => {
    if (!open) return;
    const outside = (event: PointerEvent): void => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);

  const close = (): void => {
    setOpen(false);
    opener.current?.focus();
  };

  const move = (event: KeyboardEvent): void => {
    const entries = [...(root.current?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];
    const at = entries.indexOf(document.activeElement as HTMLElement);
    const steps: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 };
    const next = steps[event.key];
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    } else if (event.key === "Tab") {
      setOpen(false);
      return;
    } else if (next !== undefined) {
      entries[(next + entries.length) % entries.length]?.focus();
    } else {
      return;
    }
    event.preventDefault();
  };

  return (
    <div class="menu" ref={root}>
      <button
        ref={opener}
        type="button"
        class={name}
        aria-label={speaks ? undefined : label}
        title={label}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
          event.preventDefault();
          setOpen(true);
        }}
      >
        {button}
      </button>
      {open && (
        <div id={id} class={`menu-list menu-${align}${(typeof above === "function" ? above() : above) ? " menu-above" : ""}`} role="menu" aria-label={label} onKeyDown={move}>
          {items.map((item) => [
            item.group && (
              <div key={`group-${item.group}`} class="menu-group" role="presentation">
                {item.group}
              </div>
            ),
            <button
              key={item.label}
              type="button"
              class={item.danger ? "menu-item menu-item-danger" : "menu-item"}
              role={item.checked === undefined ? "menuitem" : "menuitemradio"}
              aria-checked={item.checked}
              tabIndex={-1}
              onClick={() => {
                if (item.checked === undefined) close();
                item.onSelect();
              }}
            >
              {item.icon}
              <span class="menu-item-label">{item.label}</span>
              {item.checked && <span class="menu-check" aria-hidden="true" />}
            </button>,
          ])}
        </div>
      )}
    </div>
  );
}
