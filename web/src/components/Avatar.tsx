import { colourOf, initials } from "../models/avatars.ts";
import type { PersonRef } from "../wire.ts";

/** A person's initials on their colour. The name always stands near it, so it is decoration to a screen reader. */
export function Avatar({ person, small = false }: { person: PersonRef; small?: boolean }) {
  return (
    <span class={`avatar avatar-${colourOf(person.id)}${small ? " avatar-small" : ""}`} aria-hidden="true">
      {initials(person.name)}
    </span>
  );
}
