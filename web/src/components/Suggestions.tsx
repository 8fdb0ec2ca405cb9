import type { ComponentChildren } from "preact";

export type Suggestion = { key: string; icon: ComponentChildren; label: string; hint?: string };

/** What may be meant by what is being written: offered above the text, which keeps the focus and has the keys. */
export function Suggestions({
  id,
  label,
  items,
  active,
  onPick,
}: {
  id: string;
  label: string;
  items: readonly Suggestion[];
  active: number;
  onPick: (index: number) => void;
}) {
  return (
    <ul id={id} class="suggestions" role="listbox" aria-label={label}>
      {items.map((item, index) => (
        <li
          key={item.key}
          id={`${id}-${index}`}
          class={index === active ? "suggestion suggestion-active" : "suggestion"}
          role="option"
          aria-selected={index === active}
          // The text keeps the focus.
          onPointerDown={(event) => event.preventDefault()}
          onClick={() => onPick(index)}
        >
          <span class="suggestion-icon" aria-hidden="true">
            {item.icon}
          </span>
          <span class="suggestion-label">{item.label}</span>
          {item.hint && <span class="suggestion-hint">{item.hint}</span>}
        </li>
      ))}
    </ul>
  );
}
