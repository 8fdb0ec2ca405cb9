import type { Chat } from "../models/chat.ts";
import { strings } from "../strings.ts";

/** What somebody is at, beside their name: its emoji, with all of it as its words. */
export function StatusMark({ chat, person }: { chat: Chat; person: string }) {
  const status = chat.people.find(person)?.status;
  if (!status?.emoji) return null;
  const said = strings.profile.statusOf(status.emoji, status.text ?? "");
  return (
    <span class="status-mark" title={status.text ?? status.emoji}>
      <span aria-hidden="true">{status.emoji}</span>
      <span class="visually-hidden">, {said}</span>
    </span>
  );
}
