import { useId } from "preact/hooks";
import { strings } from "../strings.ts";

/** Whom a room is for. */
export function Audience({ hidden, onChange }: { hidden: boolean; onChange: (hidden: boolean) => void }) {
  const id = useId();
  const choice = (isHidden: boolean, label: string, hint: string) => (
    <label class="choice">
      <input type="radio" name={id} checked={hidden === isHidden} onChange={() => onChange(isHidden)} aria-describedby={`${id}-${isHidden}`} />
      <span class="choice-words">
        <span class="choice-label">{label}</span>
        <span class="field-hint" id={`${id}-${isHidden}`}>
          {hint}
        </span>
      </span>
    </label>
  );
  return (
    <fieldset class="choices">
      <legend class="field-label">{strings.rooms.audience}</legend>
      {choice(false, strings.rooms.public, strings.rooms.publicHint)}
      {choice(true, strings.rooms.private, strings.rooms.privateHint)}
    </fieldset>
  );
}
