import type { Chat } from "../models/chat.ts";

/** The line in which a screen reader hears of new messages; the list itself stays silent. */
export function Announcer({ chat }: { chat: Chat }) {
  return (
    <div class="visually-hidden" role="status" aria-live="polite" data-testid="announcer">
      {chat.spoken.value}
    </div>
  );
}
