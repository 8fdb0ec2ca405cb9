import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { FOLDED_CHARACTERS_MIN, FOLDED_LINES, FOLD_SPARES_LINES } from "../limits.ts";
import { isEmojiOnly } from "../models/content.ts";
import type { MessageRow } from "../models/rows.ts";
import { strings } from "../strings.ts";
import { Content, type ContentContext } from "./Content.tsx";

/**
 * What a message says. One that the server has not taken yet is shown as it was written, and replaced in place by what the
 * server makes of it.
 */
export function MessageText({ row, context, children }: { row: MessageRow; context: ContentContext; children?: ComponentChildren }) {
  const body = row.content ? (
    <div class="message-body message-content" data-testid="message-body">
      <Content blocks={row.content} context={context} />
      {children}
    </div>
  ) : (
    <p class={isEmojiOnly(row.body) ? "message-body message-emoji" : "message-body"} dir="auto" data-testid="message-body">
      {/* Marks of direction in the text end with it. */}
      <span class="message-text">{row.body}</span>
      {children}
    </p>
  );
  return isLong(row.body) ? <Folded>{body}</Folded> : body;
}

// Cheap, and in doubt yes: what is long on a phone alone is measured there.
function isLong(text: string): boolean {
  if (text.length >= FOLDED_CHARACTERS_MIN) return true;
  let lines = 1;
  for (let at = text.indexOf("\n"); at >= 0 && lines < FOLDED_LINES; at = text.indexOf("\n", at + 1)) lines += 1;
  return lines >= FOLDED_LINES;
}

/** Shows the first lines of what is too high, and a button for the rest. */
function Folded({ children }: { children: ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null);
  const [tooHigh, setTooHigh] = useState(false);
  const [open, setOpen] = useState(false);
  const id = useId();

  const measure = useCallback(() => {
    const element = box.current;
    if (!element) return;
    const line = parseFloat(getComputedStyle(element).lineHeight);
    setTooHigh(element.scrollHeight > (FOLDED_LINES + FOLD_SPARES_LINES) * line);
  }, []);

  useLayoutEffect(measure);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const resized = new ResizeObserver(measure);
    resized.observe(element);
    return () => resized.disconnect();
  }, [measure]);

  // The list would follow its end otherwise, away from what somebody has begun to read.
  const toggle = (next: boolean): void => {
    box.current?.dispatchEvent(new CustomEvent("unfold", { bubbles: true }));
    setOpen(next);
  };

  // A link or a button that is folded away may still take the focus: it must be seen then.
  const focused = (event: FocusEvent): void => {
    const bottom = box.current?.getBoundingClientRect().bottom ?? 0;
    if (tooHigh && !open && (event.target as Element).getBoundingClientRect().bottom > bottom) toggle(true);
  };

  // Folding what is above the view would leave the reader somewhere else.
  const wasOpen = useRef(false);
  useEffect(() => {
    if (wasOpen.current && !open) box.current?.closest("article")?.scrollIntoView({ block: "nearest" });
    wasOpen.current = open;
  }, [open]);

  return (
    <>
      <div ref={box} id={id} class={tooHigh && !open ? "fold fold-closed" : "fold"} onFocusIn={focused}>
        {children}
      </div>
      {tooHigh && (
        <button type="button" class="link-button fold-button" aria-expanded={open} aria-controls={id} onClick={() => toggle(!open)}>
          {open ? strings.content.less : strings.content.more}
        </button>
      )}
    </>
  );
}
