import { Bold, Code, Italic, Link, List, Strikethrough, TextQuote } from "lucide";
import { useRef, useState } from "preact/hooks";
import type { Format } from "../models/format.ts";
import { strings } from "../strings.ts";
import { Icon } from "./Icon.tsx";
import { commandKey } from "./platform.ts";

const { composer } = strings;

const BUTTONS = [
  { format: "bold", icon: Bold, key: "B" },
  { format: "italic", icon: Italic, key: "I" },
  { format: "strike", icon: Strikethrough, key: "Shift+X" },
  { format: "code", icon: Code, key: "E" },
  { format: "link", icon: Link, key: "Shift+L" },
  { format: "quote", icon: TextQuote, key: "Shift+9" },
  { format: "list", icon: List, key: "Shift+8" },
] as const;

/** Which marks a key stands for, pressed together with Ctrl (or ⌘). */
export function formatOf(event: KeyboardEvent): Format | null {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return null;
  // With Shift a digit is another character, and which one depends on the keyboard.
  const key = /^Digit[0-9]$/.test(event.code) ? event.code.slice(-1) : event.key.toUpperCase();
  const pressed = event.shiftKey ? `Shift+${key}` : key;
  return BUTTONS.find((button) => button.key === pressed)?.format ?? null;
}

/** The buttons for marks: one stop of the Tab key, in which arrows move. */
export function Toolbar({ onFormat }: { onFormat: (format: Format) => void }) {
  const root = useRef<HTMLDivElement>(null);
  const [current, setCurrent] = useState(0);

  const move = (event: KeyboardEvent): void => {
    const steps: Record<string, number> = { ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: BUTTONS.length - 1 };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = (step + BUTTONS.length) % BUTTONS.length;
    setCurrent(next);
    root.current?.querySelectorAll("button")[next]?.focus();
  };

  return (
    <div ref={root} class="toolbar" role="toolbar" aria-label={composer.toolbar} aria-controls="composer" onKeyDown={move}>
      {BUTTONS.map(({ format, icon, key }, index) => (
        <button
          key={format}
          type="button"
          class="icon-button toolbar-button"
          aria-label={composer.formats[format]}
          title={`${composer.formats[format]} (${commandKey()}+${key})`}
          tabIndex={index === current ? 0 : -1}
          // The selection in the text stays what it is.
          onPointerDown={(event) => event.preventDefault()}
          onFocus={() => setCurrent(index)}
          onClick={() => onFormat(format)}
        >
          <Icon of={icon} size={16} />
        </button>
      ))}
    </div>
  );
}
