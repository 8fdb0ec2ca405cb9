import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Chat } from "../models/chat.ts";
import type { Edit } from "../models/format.ts";
import { moved, withName, type Name, type Written } from "../models/mentions.ts";
import type { Room } from "../models/room.ts";
import { useOffers } from "./offers.tsx";
import { isTouch } from "./platform.ts";
import { Suggestions } from "./Suggestions.tsx";

type Props = {
  chat: Chat;
  room: Room;
  field: RefObject<HTMLTextAreaElement | null>;
  id: string;
  class: string;
  label: string;
  status: string;
  invalid: boolean;
  placeholder?: string;
  written: Written;
  onWrite: (written: Written) => void;
  /** Keys before Enter is looked at; whether this one was taken. */
  onKey: (event: KeyboardEvent) => boolean;
  onSubmit: () => void;
};

/** Where a message is written, first or again: grows with its text, offers names and emoji, and Enter is for the whole. */
export function MessageField({ chat, room, field, id, class: name, label, status, invalid, placeholder, written, onWrite, onKey, onSubmit }: Props) {
  const offers = useOffers({ chat, room, put: (element, from, to, text, name) => put(element, from, to, text, name) });
  const { items, active } = offers.offered;
  const list = `${id}-offered`;
  const putting = useRef(false);

  const put = (element: HTMLTextAreaElement, from: number, to: number, text: string, name: Name | null): void => {
    if (!element.isConnected) return;
    // What is put there need not be looked at as what is being written.
    putting.current = true;
    edit(element, { from, to, text, start: from + text.length, end: from + text.length });
    const next = moved(written, element.value);
    onWrite(name ? withName(next, from, name) : next);
    putting.current = false;
    offers.drop();
  };

  useLayoutEffect(() => fit(field.current), [field, written.text]);

  useEffect(() => {
    const element = field.current;
    if (!element) return;
    let width = element.clientWidth;
    const resized = new ResizeObserver(() => {
      if (element.clientWidth === width) return;
      width = element.clientWidth;
      fit(element);
    });
    resized.observe(element);
    return () => resized.disconnect();
  }, [field]);

  return (
    <>
      <textarea
        ref={field}
        id={id}
        class={name}
        rows={1}
        aria-label={label}
        aria-describedby={status}
        aria-invalid={invalid}
        placeholder={placeholder}
        value={written.text}
        dir="auto"
        autocomplete="off"
        enterkeyhint={isTouch() ? "enter" : "send"}
        aria-autocomplete="list"
        aria-controls={items.length > 0 ? list : undefined}
        aria-activedescendant={items.length > 0 ? `${list}-${active}` : undefined}
        onInput={(event) => {
          if (putting.current) return;
          const next = moved(written, event.currentTarget.value);
          onWrite(next);
          offers.look(event.currentTarget, next);
        }}
        onBlur={offers.drop}
        onKeyDown={(event) => {
          if (offers.steer(event, event.currentTarget) || onKey(event)) return;
          const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
          // While an input method composes, Enter picks a word. A keyboard on the screen has no other key for a new line.
          if (event.key !== "Enter" || event.shiftKey || event.isComposing || (plain && isTouch())) return;
          event.preventDefault();
          event.stopPropagation();
          onSubmit();
        }}
      />
      {items.length > 0 && (
        <Suggestions id={list} label={offers.offered.label} items={items} active={active} onPick={(index) => offers.take(field.current, index)} />
      )}
    </>
  );
}

/** Changes a text so that Ctrl+Z takes it back. */
export function edit(element: HTMLTextAreaElement, { from, to, text, start, end }: Edit): void {
  element.focus();
  element.setSelectionRange(from, to);
  // The only way that keeps what can be undone; a browser without it loses that and nothing else.
  // eslint-disable-next-line @typescript-eslint/no-deprecated
  const done = text === "" ? document.execCommand("delete") : document.execCommand("insertText", false, text);
  if (!done) element.setRangeText(text, from, to);
  element.setSelectionRange(start, end);
}

/** As high as its text; at most as its max-height. */
function fit(element: HTMLTextAreaElement | null): void {
  if (!element) return;
  element.style.height = "auto";
  if (element.value !== "") element.style.height = `${element.scrollHeight}px`;
}
