import { X } from "lucide";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { App } from "../models/app.ts";
import { Picker } from "../models/picker.ts";
import { named, strings } from "../strings.ts";
import type { PersonRef } from "../wire.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./Icon.tsx";
import { NameNote } from "./NameNote.tsx";

/** A picker for as long as its dialog is open. */
export function usePicker(app: App, most: number, without: readonly string[] = []): Picker {
  // Who is there already is known when it opens.
  const [picker] = useState(() => new Picker({ api: app.api, most, without }));
  useEffect(() => () => picker.close(), [picker]);
  return picker;
}

/** People chosen by name: type, arrows and Enter choose, Backspace takes the last one out again. */
export function PeoplePicker({ picker, most, me }: { picker: Picker; most: number; me: PersonRef }) {
  const field = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const id = useId();
  const offered = picker.offered.value;
  const at = picker.active.value;
  const chosen = picker.chosen.value;

  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [at]);

  const choose = (person?: PersonRef): void => {
    picker.choose(person);
    field.current?.focus();
  };

  const keys = (event: KeyboardEvent): void => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown") picker.move(1);
    else if (event.key === "ArrowUp") picker.move(-1);
    else if (event.key === "Enter" && picker.takesEnter) choose();
    else if (event.key === "Backspace" && picker.query.peek() === "" && chosen.length > 0) picker.drop();
    else return;
    event.preventDefault();
  };

  return (
    <div class="picker">
      {chosen.length > 0 && (
        <ul class="picker-chosen" aria-label={strings.people.chosen}>
          {chosen.map((person) => (
            <li key={person.id} class="picker-chip">
              <bdi>{person.name}</bdi>
              <NameNote person={person} />
              <button
                type="button"
                class="icon-button icon-button-small"
                aria-label={strings.people.drop(person.name)}
                onClick={() => {
                  picker.drop(person.id);
                  field.current?.focus();
                }}
              >
                <Icon of={X} size={14} />
              </button>
            </li>
          ))}
        </ul>
      )}
      <input
        ref={field}
        class="input"
        role="combobox"
        aria-label={strings.people.find}
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={offered.length > 0 ? `${id}-${at}` : undefined}
        placeholder={strings.people.find}
        autocomplete="off"
        spellcheck={false}
        value={picker.query.value}
        onInput={(event) => picker.type(event.currentTarget.value)}
        onKeyDown={keys}
      />
      <ul ref={list} id={id} class="switcher picker-found" role="listbox" aria-label={strings.people.found}>
        {offered.map((person, index) => (
          <li
            key={person.id}
            id={`${id}-${index}`}
            class="switcher-room"
            role="option"
            aria-selected={index === at}
            onPointerMove={() => (picker.at.value = index)}
            onClick={() => choose(person)}
          >
            <Avatar person={person} small />
            <bdi>{person.name}</bdi>
            <NameNote person={person} />
            {person.id === me.id && <span class="switcher-note">{strings.people.you}</span>}
            {person.id !== me.id && person.role && <span class="switcher-note">{strings.people.roles[person.role]}</span>}
          </li>
        ))}
      </ul>
      {picker.problem.value ? (
        <p class="problem" role="alert">
          {picker.problem.value}
        </p>
      ) : (
        <p class="picker-status" role="status">
          {picker.isFull.value
            ? strings.people.full(most)
            : picker.settled.value && offered.length === 0
              ? picker.query.value === ""
                ? strings.people.nobodyElse
                : strings.people.nobody
              : ""}
        </p>
      )}
      <span class="visually-hidden" role="status">
        {chosen.map(named).join(", ")}
      </span>
    </div>
  );
}
