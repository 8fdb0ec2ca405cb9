import type { ComponentChildren } from "preact";
import type { App } from "../models/app.ts";

type Props = { app: App; path: string; class?: string | undefined; current?: boolean; label?: string | undefined; testid?: string; onOpened?: (() => void) | undefined; children: ComponentChildren };

/** A real link to a page of ours, followed without loading it again. */
export function PageLink({ app, path, class: name, current = false, label, testid, onOpened, children }: Props) {
  return (
    <a
      class={name}
      href={path}
      aria-current={current ? "page" : undefined}
      aria-label={label}
      data-testid={testid}
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
