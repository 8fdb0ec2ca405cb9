import { CircleAlert } from "lucide";
import { useComputed } from "@preact/signals";
import { Component } from "preact";
import { plainText } from "../models/content.ts";
import { mentionsPerson } from "../models/mentions.ts";
import { STILL_TRYING_AFTER_MS } from "../limits.ts";
import type { Chat } from "../models/chat.ts";
import type { Unsent } from "../models/outbox.ts";
import { sameRow, type MessageRow, type Row } from "../models/rows.ts";
import { clockTime, dayLabel, fullTime, machineTime, shortClockTime } from "../models/times.ts";
import { named, strings } from "../strings.ts";
import { AnsweredLine } from "./AnsweredLine.tsx";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./Icon.tsx";
import { changesIn, MessageActions, type ActionsContext } from "./MessageActions.tsx";
import { MessageEditor } from "./MessageEditor.tsx";
import { focusComposer } from "./keyboard.ts";
import { MessageText } from "./MessageText.tsx";
import { NameNote } from "./NameNote.tsx";
import { Reactions } from "./Reactions.tsx";
import { ThreadLine } from "./ThreadLine.tsx";

/**
 * What keeps unsent messages: the connection is away, or it stands and the server takes none, or the message is long
 * under way.
 */
export type Delay = "waiting" | "hindered" | "trying" | null;

/** What delays an unsent message. */
export function delayOf(chat: Chat, unsent: Unsent): Delay {
  if (chat.live.away.value) return "waiting";
  if (chat.hindrance.value) return "hindered";
  const underWay = Math.min(chat.live.standing, Date.now() - unsent.created);
  return underWay > STILL_TRYING_AFTER_MS ? "trying" : null;
}

/** `failures`: of the last message that failed where others have too, how many those are; else 0. */
type Props = { row: Row; context: ActionsContext; delay: Delay; failures: number };

const DELAYS = { waiting: strings.room.waiting, hindered: strings.room.waitingForServer, trying: strings.room.stillTrying };

/** The name of a day, and the way to another one; by keyboard that is in the room's menu. */
function DayButton({ time, context: { room, layout } }: { time: number; context: ActionsContext }) {
  const day = dayLabel(time, Date.now());
  return (
    <button
      type="button"
      class="day-button"
      tabIndex={-1}
      aria-label={strings.goToDate.fromDay(day)}
      title={strings.goToDate.open}
      onClick={() => (layout.dialog.value = { name: "go-to-date", room: room.id })}
    >
      <time dateTime={machineTime(time)}>{day}</time>
    </button>
  );
}

/** One row of the message list, drawn again only when it looks different. */
export class RowView extends Component<Props> {
  override shouldComponentUpdate(next: Props): boolean {
    const { row } = this.props;
    if (!sameRow(row, next.row) || next.failures !== this.props.failures) return true;
    return next.row.kind === "message" && next.row.state === "pending" && next.delay !== this.props.delay;
  }

  override render({ row, context, delay, failures }: Props) {
    switch (row.kind) {
      case "day":
        return (
          <div class="day" data-key={row.key}>
            <DayButton time={row.time} context={context} />
          </div>
        );
      case "new":
        return (
          <div class="new-line" data-key={row.key} role="separator" aria-label={strings.room.newLine}>
            <span>{strings.room.newLine}</span>
          </div>
        );
      case "note":
        return (
          <p class="note" data-key={row.key} data-number={row.number}>
            {strings.room.notes[row.note](row.people, row.by)}
            <time class="note-time" dateTime={machineTime(row.time)} title={fullTime(row.time)}>
              {clockTime(row.time)}
            </time>
          </p>
        );
      case "message":
        return <MessageView row={row} context={context} delay={delay} failures={failures} />;
    }
  }
}

/** Where a press on what a message answers leads: in the thread where it stands in one, else in the room. */
function goToAnswered({ replyTo, thread }: MessageRow, { chat, room, thread: open }: ActionsContext): void {
  if (!replyTo) return;
  if (open) void open.goTo(replyTo.number);
  else if (thread !== null) chat.openThread(room, thread, replyTo.id === thread ? null : replyTo.number);
  else void chat.show(room, replyTo.id);
}

function MessageView({ row, context, delay, failures }: Props & { row: MessageRow }) {
  const { room } = strings;
  const { outbox } = context.chat;
  const changes = changesIn(context);
  // Looked at whether or not the message has its id yet, or it would not be looked at again.
  const editing = useComputed(() => {
    const open = changes.editing.value;
    return open !== null && open.message === row.id ? open : null;
  }).value;
  const time = clockTime(row.time);
  const stands = row.state === "failed" ? room.notSent : row.state === "pending" ? (delay ? DELAYS[delay] : room.sending) : "";
  const gone = row.deleter ? room.deletedBy(row.deleter) : room.deleted;
  const said = row.content ? plainText(row.content, context.chat.roomLabel) : row.body;
  const body = row.deleted ? gone + (row.reason === null ? "" : room.deletedWhy(row.reason)) : said;
  const above = row.deleted || (context.thread && row.replyTo?.id === row.thread) ? null : row.replyTo;
  const answers = above ? room.answers(above.author.name) : "";
  const isForMe = !row.deleted && row.author.id !== context.chat.me.id && mentionsPerson(row.content, context.chat.me.id) !== null;
  const reactions = strings.reactions.count(row.reactions.reduce((sum, { count }) => sum + count, 0));
  const replies = row.replies ? strings.threads.replies(row.replies.count) : "";
  const clientId = row.unsent?.client_id;
  // The button goes away with its row or its reason, and the focus must not go with it.
  const remove = (id: string): void => {
    outbox.delete(id);
    focusComposer(context);
  };
  const retry = (id: string): void => {
    outbox.retry(id);
    focusComposer(context);
  };
  const retryAll = (room: string): void => {
    outbox.retryAll(room);
    focusComposer(context);
  };
  const showAuthor = (): void => {
    context.layout.dialog.value = { name: "person", person: row.author };
  };
  const stamp = (
    <time class="message-time" dateTime={machineTime(row.time)} title={fullTime(row.time)}>
      {row.head ? time : shortClockTime(row.time)}
    </time>
  );
  return (
    <article
      class={`message${row.head ? " message-head" : ""}${isForMe ? " message-for-me" : ""}`}
      data-key={row.key}
      data-testid="message"
      data-state={row.state}
      data-number={row.number ?? undefined}
      aria-label={room.messageLabel(named(row.author), time, answers + body, [isForMe ? strings.mentions.you : "", stands || (row.edited !== null && !row.deleted ? room.editedLine : ""), reactions, replies])}
      tabIndex={-1}
    >
      <div class="message-gutter">{row.head ? <Avatar person={row.author} onClick={showAuthor} /> : stamp}</div>
      <div class="message-main">
        {row.head && (
          <header class="message-header">
            <span class="message-author">
              {/* By keyboard it is in the message's menu: a stop at each name would be many. */}
              <button type="button" class="person-button" tabIndex={-1} onClick={showAuthor}>
                <bdi>{row.author.name}</bdi>
              </button>
              <NameNote person={row.author} />
            </span>
            {stamp}
          </header>
        )}
        {above && (
          <AnsweredLine
            answered={above}
            roomName={context.chat.roomLabel}
            inThread={row.thread !== null && !context.thread}
            onGo={() => goToAnswered(row, context)}
          />
        )}
        {editing ? (
          <MessageEditor chat={context.chat} room={context.room} changes={changes} editing={editing} />
        ) : row.deleted ? (
          <p class="message-deleted">{body}</p>
        ) : (
          <MessageText row={row} context={context}>
            {row.edited !== null && (
              <>
                {" "}
                <button
                  type="button"
                  class="message-edited"
                  title={room.editedAt(fullTime(row.edited))}
                  aria-label={room.editedLabel(fullTime(row.edited))}
                  onClick={() => {
                    if (row.id !== null) context.layout.dialog.value = { name: "edits", room: context.room.id, message: row.id };
                  }}
                >
                  {room.edited}
                </button>
              </>
            )}
          </MessageText>
        )}
        {row.state === "pending" && delay && (
          <p class="message-fate">
            {DELAYS[delay]}
            {clientId !== undefined && (delay !== "waiting" || row.unsent?.attempted === false) && (
              <button type="button" class="link-button" onClick={() => remove(clientId)}>
                {room.deleteUnsent}
              </button>
            )}
          </p>
        )}
        {row.unsent?.failure && clientId !== undefined && (
          <p class="message-fate message-fate-failed">
            <span>
              <Icon of={CircleAlert} size={14} /> <strong>{room.notSent}</strong> {room.failure(row.unsent.failure)}
            </span>
            <button type="button" class="link-button" onClick={() => retry(clientId)}>
              {room.retrySend}
            </button>
            <button type="button" class="link-button" onClick={() => remove(clientId)}>
              {room.deleteUnsent}
            </button>
            {failures > 1 && (
              <button type="button" class="link-button" onClick={() => row.unsent && retryAll(row.unsent.room)}>
                {room.retryAllSends(failures)}
              </button>
            )}
          </p>
        )}
        <Reactions row={row} context={context} />
        {!context.thread && <ThreadLine row={row} context={context} />}
      </div>
      <MessageActions row={row} context={context} />
    </article>
  );
}
