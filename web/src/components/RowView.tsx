import { CircleAlert } from "lucide";
import { useComputed } from "@preact/signals";
import { Component } from "preact";
import { plainText } from "../models/content.ts";
import { sameRow, type MessageRow, type Row } from "../models/rows.ts";
import { clockTime, dayLabel, fullTime, machineTime, shortClockTime } from "../models/times.ts";
import { named, strings } from "../strings.ts";
import { AnsweredLine } from "./AnsweredLine.tsx";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./Icon.tsx";
import { MessageActions, type ActionsContext } from "./MessageActions.tsx";
import { MessageEditor } from "./MessageEditor.tsx";
import { focusComposer } from "./keyboard.ts";
import { MessageText } from "./MessageText.tsx";
import { NameNote } from "./NameNote.tsx";
import { Reactions } from "./Reactions.tsx";

/**
 * What keeps unsent messages: the connection is away, or it stands and the server takes none, or the message is long
 * under way.
 */
export type Delay = "waiting" | "hindered" | "trying" | null;

/** `failures`: of the last message that failed where others have too, how many those are; else 0. */
type Props = { row: Row; context: ActionsContext; delay: Delay; failures: number };

const DELAYS = { waiting: strings.room.waiting, hindered: strings.room.waitingForServer, trying: strings.room.stillTrying };

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
          <div class="day" data-key={row.key} role="separator" aria-label={dayLabel(row.time, Date.now())}>
            <time dateTime={machineTime(row.time)}>{dayLabel(row.time, Date.now())}</time>
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

function MessageView({ row, context, delay, failures }: Props & { row: MessageRow }) {
  const { room } = strings;
  const { outbox } = context.chat;
  const { changes } = context.room;
  // Looked at whether or not the message has its id yet, or it would not be looked at again.
  const editing = useComputed(() => {
    const open = changes.editing.value;
    return open !== null && open.message === row.id ? open : null;
  }).value;
  const time = clockTime(row.time);
  const stands = row.state === "failed" ? room.notSent : row.state === "pending" ? (delay ? DELAYS[delay] : room.sending) : "";
  const gone = row.deleter ? room.deletedBy(row.deleter) : room.deleted;
  const said = row.content ? plainText(row.content) : row.body;
  const body = row.deleted ? gone + (row.reason === null ? "" : room.deletedWhy(row.reason)) : said;
  const answers = row.replyTo && !row.deleted ? room.answers(row.replyTo.author.name) : "";
  const reactions = strings.reactions.count(row.reactions.reduce((sum, { count }) => sum + count, 0));
  const clientId = row.unsent?.client_id;
  // The button goes away with its row or its reason, and the focus must not go with it.
  const remove = (id: string): void => {
    outbox.delete(id);
    focusComposer();
  };
  const retry = (id: string): void => {
    outbox.retry(id);
    focusComposer();
  };
  const retryAll = (room: string): void => {
    outbox.retryAll(room);
    focusComposer();
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
      class={row.head ? "message message-head" : "message"}
      data-key={row.key}
      data-testid="message"
      data-state={row.state}
      data-number={row.number ?? undefined}
      aria-label={room.messageLabel(named(row.author), time, answers + body, [stands || (row.edited !== null && !row.deleted ? room.editedLine : ""), reactions])}
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
        {row.replyTo && !row.deleted && (
          <AnsweredLine answered={row.replyTo} onGo={() => void context.chat.showNumber(context.room, row.replyTo?.number ?? 0)} />
        )}
        {editing ? (
          <MessageEditor room={context.room} editing={editing} />
        ) : row.deleted ? (
          <p class="message-deleted">{body}</p>
        ) : (
          <MessageText row={row}>
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
      </div>
      <MessageActions row={row} context={context} />
    </article>
  );
}
