import { useId, useState } from "preact/hooks";
import type { Chat } from "../../models/chat.ts";
import { showDensity, showTheme, type Density, type Theme } from "../../models/settings.ts";
import { strings } from "../../strings.ts";

const { me, appearance: words } = strings;

/** How the page looks in this browser. */
export function AppearanceSection({ chat }: { chat: Chat }) {
  const [theme, setTheme] = useState<Theme>(chat.settings.theme);
  const [density, setDensity] = useState<Density>(chat.settings.density);
  return (
    <div class="settings-form">
      <h3>{words.heading}</h3>
      <p class="settings-lead">{words.lead}</p>
      <Choices
        legend={me.theme}
        value={theme}
        options={[
          { value: "system", label: me.system, hint: words.systemHint },
          { value: "light", label: me.light },
          { value: "dark", label: me.dark },
        ]}
        onChange={(next) => {
          chat.settings.theme = next;
          showTheme(next);
          setTheme(next);
        }}
      />
      <Choices
        legend={words.density}
        value={density}
        options={[
          { value: "comfortable", label: words.comfortable, hint: words.comfortableHint },
          { value: "compact", label: words.compact, hint: words.compactHint },
        ]}
        onChange={(next) => {
          chat.settings.density = next;
          showDensity(next);
          setDensity(next);
        }}
      />
    </div>
  );
}

type ChoicesProps<T extends string> = {
  legend: string;
  value: T;
  options: readonly { value: T; label: string; hint?: string }[];
  onChange: (value: T) => void;
};

function Choices<T extends string>({ legend, value, options, onChange }: ChoicesProps<T>) {
  const id = useId();
  return (
    <fieldset class="choices">
      <legend class="field-label">{legend}</legend>
      {options.map((option) => (
        <label key={option.value} class="choice">
          <input
            type="radio"
            name={id}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
            aria-describedby={option.hint ? `${id}-${option.value}` : undefined}
          />
          <span class="choice-words">
            <span class="choice-label">{option.label}</span>
            {option.hint && (
              <span class="field-hint" id={`${id}-${option.value}`}>
                {option.hint}
              </span>
            )}
          </span>
        </label>
      ))}
    </fieldset>
  );
}
