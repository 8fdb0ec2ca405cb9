import { useComputed } from "@preact/signals";
import type { MessageRow } from "../models/rows.ts";
import { fullTime, machineTime, momentLabel } from "../models/times.ts";
import { strings } from "../strings.ts";
import { Avatar } from "./Avatar.tsx";
import { startThread, type ActionsContext } from "./MessageActions.tsx";

/** What stands in the thread under a message: a press opens it. In bold where something in it waits for this person. */
export function ThreadLine({ row, context }: { row: MessageRow; context: ActionsContext }) {
  const { chat } = context;
  const { id, replies } = row;
  // Looked at whether or not the message has its id yet, or it would not be looked at again.
  const unread = useComputed(() => chat.threads.list.value.find((thread) => thread.id === id)?.unread ?? 0).value;
  const open = useComputed(() => chat.thread.value?.root === id).value;
  if (id === null || !replies) return null;
  const { count, last, people } = replies;
  return (
    <button
      type="button"
      class={unread > 0 ? "thread-line thread-line-unread" : "thread-line"}
      data-testid="thread-line"
      aria-expanded={open}
      onClick={() => startThread(row, context)}
    >
      <span class="thread-faces" aria-hidden="true">
        {people.map((person) => (
          <Avatar key={person.id} person={person} small />
        ))}
      </span>
      <span class="thread-count">{strings.threads.replies(count)}</span>
      {unread > 0 && <span class="thread-new">{strings.threads.unread(unread)}</span>}
      <time class="thread-last" dateTime={machineTime(last.time)} title={fullTime(last.time)}>
        {strings.threads.last(momentLabel(last.time, Date.now()))}
      </time>
    </button>
  );
}
