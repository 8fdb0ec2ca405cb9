import type { ComponentChildren } from "preact";
import type { App } from "../models/app.ts";

type Props = { app: App; room: string; class?: string; current?: boolean; label?: string; onOpened?: () => void; children: ComponentChildren };

/** A real link to a room, followed without loading the page again. */
export function RoomLink({ app, room, class: name, current = false, label, onOpened, children }: Props) {
  const path = `/rooms/${room}`;
  return (
    <a
      class={name}
      href={path}
      aria-current={current ? "page" : undefined}
      aria-label={label}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0) return;
        event.preventDefault();
        app.navigate(path);
        onOpened?.();
      }}
    >
      {children}
    </a>
  );
}
