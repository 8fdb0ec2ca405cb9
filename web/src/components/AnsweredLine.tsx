import { CornerUpRight, MessagesSquare } from "lucide";
import { strings } from "../strings.ts";
import type { Answered } from "../wire.ts";
import { Icon } from "./Icon.tsx";

/** What a message answers, above it; a press goes there. */
export function AnsweredLine({ answered, inThread = false, onGo }: { answered: Answered; inThread?: boolean; onGo: () => void }) {
  const said = answered.deleted ? strings.room.deleted : (answered.text ?? "");
  return (
    <button type="button" class="answered" title={inThread ? strings.threads.open : strings.room.goToAnswered} onClick={onGo}>
      <Icon of={inThread ? MessagesSquare : CornerUpRight} size={14} />
      <span class="visually-hidden">{inThread ? strings.threads.inThread : strings.room.inReplyTo} </span>
      <bdi class="answered-author">{answered.author.name}</bdi>
      <span class="visually-hidden">: </span>
      <span class={answered.deleted ? "answered-text answered-deleted" : "answered-text"} dir="auto">
        {said}
      </span>
    </button>
  );
}
