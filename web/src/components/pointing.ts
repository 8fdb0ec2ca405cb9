/** Which message of the list is pointed at, has the focus, or has a finger resting on it: the one whose actions are shown. */
import { useRef } from "preact/hooks";
import { LONG_PRESS_MOVE_PX, LONG_PRESS_MS } from "../limits.ts";
import type { Changes } from "../models/changes.ts";

type Press = { timer: ReturnType<typeof setTimeout>; x: number; y: number };

/** The handlers for the element around the messages. */
export function usePointing(changes: Changes) {
  const press = useRef<Press | null>(null);
  const held = useRef(false);

  // As long as a menu is open, the message that it belongs to stays the one.
  const point = (event: Event, key: string | null): void => {
    if ((event.currentTarget as Element).querySelector("[role=menu]")) return;
    changes.pressed.value = null;
    changes.active.value = key;
  };
  const lift = (): void => {
    if (press.current) clearTimeout(press.current.timer);
    press.current = null;
  };
  return {
    onPointerLeave: (event: PointerEvent): void => {
      if (event.pointerType !== "touch") point(event, focused(event));
    },
    onFocusIn: (event: FocusEvent): void => {
      if ((event.target as Element).matches(":focus-visible")) point(event, keyOf(event.target));
    },
    onFocusOut: (event: FocusEvent): void => {
      const list = event.currentTarget as Element;
      if (!list.contains(event.relatedTarget as Node | null) && !list.matches(":hover")) point(event, null);
    },
    onPointerDown: (event: PointerEvent): void => {
      lift();
      held.current = false;
      const key = keyOf(event.target);
      if (event.pointerType !== "touch" || key === null || (event.target as Element).closest("a, button, textarea")) return;
      const timer = setTimeout(() => {
        held.current = true;
        changes.active.value = key;
        changes.pressed.value = key;
      }, LONG_PRESS_MS);
      press.current = { timer, x: event.clientX, y: event.clientY };
    },
    // Not when it is merely over something: a list that moves under a mouse at rest says nothing of what the person wants.
    onPointerMove: (event: PointerEvent): void => {
      if (event.pointerType !== "touch") {
        point(event, keyOf(event.target) ?? focused(event));
        return;
      }
      const { x, y } = press.current ?? { x: event.clientX, y: event.clientY };
      if (Math.hypot(event.clientX - x, event.clientY - y) > LONG_PRESS_MOVE_PX) lift();
    },
    onPointerUp: lift,
    onPointerCancel: lift,
    // The browser's own menu would lie over ours.
    onContextMenu: (event: MouseEvent): void => {
      if (held.current || press.current) event.preventDefault();
    },
  };
}

/** The message that has the focus by the keyboard. */
function focused(event: Event): string | null {
  const element = document.activeElement;
  return element?.matches(":focus-visible") && (event.currentTarget as Element).contains(element) ? keyOf(element) : null;
}

function keyOf(target: EventTarget | null): string | null {
  return (target as Element | null)?.closest<HTMLElement>("article")?.dataset.key ?? null;
}
