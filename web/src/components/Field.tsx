import { useId, useState } from "preact/hooks";
import { strings } from "../strings.ts";

export type FieldProps = {
  label: string;
  name: string;
  value: string;
  onInput: (value: string) => void;
  hint?: string | undefined;
  error?: string | undefined;
  type?: "text" | "email" | "password" | "date";
  autocomplete?: string;
  maxLength?: number;
  /** Of a date, the first and the last that may be chosen. */
  min?: string;
  max?: string;
  required?: boolean;
  /** How many lines it has room for, where line breaks may stand in it. */
  lines?: number;
};

/** A labelled text field. The hint is read with it, and so is what is wrong. */
export function Field(props: FieldProps) {
  const { label, name, value, onInput, hint, error, type = "text", autocomplete = "off", maxLength, min, max, required = false, lines } = props;
  const [shown, setShown] = useState(false);
  const id = useId();
  // Preact's types keep the kinds of input apart; this one changes its kind.
  const kind = (type === "password" && shown ? "text" : type) as "text";
  const describedBy = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");

  return (
    <div class="field">
      <label class="field-label" for={id}>
        {label}
      </label>
      <div class="field-box">
        {lines === undefined ? <input
          id={id}
          class="input"
          name={name}
          type={kind}
          value={value}
          onInput={(event) => onInput(event.currentTarget.value)}
          autocomplete={autocomplete}
          autocapitalize={type === "text" && name === "name" ? "words" : "none"}
          spellcheck={false}
          maxLength={maxLength}
          min={min}
          max={max}
          aria-required={required}
          aria-invalid={error !== undefined}
          aria-describedby={describedBy || undefined}
        /> : (
          <textarea
            id={id}
            class="input"
            name={name}
            rows={lines}
            value={value}
            onInput={(event) => onInput(event.currentTarget.value)}
            maxLength={maxLength}
            aria-required={required}
            aria-invalid={error !== undefined}
            aria-describedby={describedBy || undefined}
          />
        )}
        {type === "password" && (
          <button
            type="button"
            class="field-toggle"
            aria-label={shown ? strings.entry.hidePasswordLabel : strings.entry.showPasswordLabel}
            aria-pressed={shown}
            onClick={() => setShown(!shown)}
          >
            {shown ? strings.entry.hidePassword : strings.entry.showPassword}
          </button>
        )}
      </div>
      {hint && (
        <p class="field-hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="field-error" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  );
}
