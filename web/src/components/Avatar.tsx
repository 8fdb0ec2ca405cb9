import { colourOf, initials } from "../models/avatars.ts";
import type { PersonRef } from "../wire.ts";

/** A person's initials on their colour. The name always stands near it, so it is decoration to a screen reader. */
export function Avatar({ person, small = false, onClick }: { person: PersonRef; small?: boolean; onClick?: () => void }) {
  return (
    <span class={`avatar avatar-${colourOf(person.id)}${small ? " avatar-small" : ""}${onClick ? " avatar-opens" : ""}`} aria-hidden="true" onClick={onClick}>
      {initials(person.name)}
    </span>
  );
}
