import { strings } from "../strings.ts";
import type { PersonRef } from "../wire.ts";

/** Beside a name that somebody else has too, or one that looks alike: a few characters that stay the same for this person. */
export function NameNote({ person }: { person: PersonRef }) {
  if (!person.same_name) return null;
  return (
    <span class="person-note" title={strings.people.alike}>
      {` #${person.id.slice(-4)}`}
    </span>
  );
}
