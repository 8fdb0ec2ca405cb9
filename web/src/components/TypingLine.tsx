import type { Room } from "../models/room.ts";
import { strings } from "../strings.ts";

/** Who is typing. Its place is always there, so that nothing shifts. */
export function TypingLine({ room }: { room: Room }) {
  const people = room.typing.value;
  return (
    <p class="typing" data-testid="typing">
      {people.length > 0 && strings.room.typing(people)}
    </p>
  );
}
