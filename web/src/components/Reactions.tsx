import { SmilePlus } from "lucide";
import { strings } from "../strings.ts";
import type { Reacted } from "../wire.ts";
import type { MessageRow } from "../models/rows.ts";
import { isArchived } from "../models/kinds.ts";
import { Icon } from "./Icon.tsx";
import type { ActionsContext } from "./MessageActions.tsx";

/** What was reacted to a message: a press joins in, or takes one's own back, where something is written in the room. */
export function Reactions({ row, context }: { row: MessageRow; context: ActionsContext }) {
  const { id, reactions } = row;
  if (id === null || reactions.length === 0) return null;
  const { chat, room, layout } = context;
  const chip = (reacted: Reacted) => (
    <>
      <span class="reaction-emoji">{reacted.emoji}</span>
      <span class="reaction-count">{reacted.count}</span>
      <span class="visually-hidden"> {strings.reactions.by(whoReacted(reacted, chat.me.id))}</span>
    </>
  );
  const title = (reacted: Reacted): string => strings.reactions.one(reacted.emoji, whoReacted(reacted, chat.me.id));
  if (isArchived(room.info.value)) {
    return (
      <ul class="reactions" aria-label={strings.reactions.label}>
        {reactions.map((reacted) => (
          <li key={reacted.emoji} class={reacted.mine ? "reaction reaction-still reaction-mine" : "reaction reaction-still"} title={title(reacted)}>
            {chip(reacted)}
          </li>
        ))}
      </ul>
    );
  }
  return (
    <ul class="reactions" aria-label={strings.reactions.label}>
      {reactions.map((reacted) => (
        <li key={reacted.emoji}>
          <button
            type="button"
            class="reaction"
            aria-pressed={reacted.mine ?? false}
            title={title(reacted)}
            onClick={() => void chat.react(room, id, reacted.emoji, !reacted.mine)}
          >
            {chip(reacted)}
          </button>
        </li>
      ))}
      <li>
        <button
          type="button"
          class="reaction reaction-add"
          aria-label={strings.reactions.add}
          title={strings.reactions.add}
          aria-haspopup="dialog"
          onClick={(event) => layout.pickEmoji(event.currentTarget, (emoji) => void chat.react(room, id, emoji, true))}
        >
          <Icon of={SmilePlus} size={16} />
        </button>
      </li>
    </ul>
  );
}

/** Names, this person's first; of many, some. */
function whoReacted({ count, mine, people }: Reacted, me: string): string {
  const names = people.filter((person) => person.id !== me).map((person) => person.name);
  const all = mine ? [strings.reactions.you, ...names] : names;
  return strings.reactions.people(all, count - all.length);
}
