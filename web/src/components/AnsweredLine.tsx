import { CornerUpRight, MessagesSquare } from "lucide";
import { beginning, type RoomName } from "../models/content.ts";
import { strings } from "../strings.ts";
import type { Answered } from "../wire.ts";
import { Icon } from "./Icon.tsx";

/** What a message answers, above it; a press goes there. */
type Props = { answered: Answered; roomName: RoomName; inThread?: boolean; onGo: () => void };

export function AnsweredLine({ answered, roomName, inThread = false, onGo }: Props) {
  const said = answered.deleted ? strings.room.deleted : beginning(answered, roomName);
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
