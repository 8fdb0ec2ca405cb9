import { Copy, Ellipsis, EyeOff, Link, MessagesSquare, Pencil, Reply, SmilePlus, Trash2, UserRound, type IconNode } from "lucide";
import { useComputed } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { isArchived } from "../models/kinds.ts";
import type { Layout } from "../models/layout.ts";
import { labelsIn, writtenOf } from "../models/mentions.ts";
import type { Room } from "../models/room.ts";
import type { Changes } from "../models/changes.ts";
import type { MessageRow } from "../models/rows.ts";
import type { Thread } from "../models/thread.ts";
import { named, strings } from "../strings.ts";
import { Icon } from "./Icon.tsx";
import { Menu } from "./Menu.tsx";
import { words } from "../models/content.ts";
import { focusComposer } from "./keyboard.ts";
import { copyText } from "./platform.ts";

/** What may be done with messages, and where it shows. */
export type ActionsContext = {
  app: App;
  chat: Chat;
  room: Room;
  layout: Layout;
  /** The thread that they are shown in; absent in the room. */
  thread?: Thread;
};

/** What this person changes there. */
export function changesIn({ room, thread }: ActionsContext): Changes {
  return (thread ?? room).changes;
}

/** Something that can be done with a message. */
type Action = {
  label: string;
  icon: IconNode;
  /** With the element that it was asked by. */
  run: (opener: HTMLElement | null) => void;
  /** Whether it has a button of its own beside the menu. */
  first?: boolean;
  danger?: boolean;
};

/** All that this person may do with the message, in the order of the menu. */
function actionsFor(row: MessageRow, context: ActionsContext): Action[] {
  const { chat, room, layout, thread } = context;
  const changes = changesIn(context);
  const { id } = row;
  if (id === null || row.deleted) return [];
  const own = row.author.id === chat.me.id;
  const open = !isArchived(room.info.value);
  const answers: Action[] = [
    { label: strings.reactions.add, icon: SmilePlus, run: (opener) => startReacting(row, context, opener), first: true },
    { label: strings.room.reply, icon: Reply, run: () => startReplying(row, context), first: true },
    ...(thread ? [] : [{ label: strings.threads.reply, icon: MessagesSquare, run: () => startThread(row, context), first: true }]),
  ];
  const actions = open ? answers : [];
  if (own && open) actions.push({ label: strings.room.edit, icon: Pencil, run: () => chat.edit(changes, { id, body: row.body, content: row.content ?? undefined }), first: true });
  actions.push({ label: strings.room.copyText, icon: Copy, run: () => void copy(chat, textOfRow(row, chat), strings.room.copied) });
  actions.push({ label: strings.room.showAuthor, icon: UserRound, run: () => (layout.dialog.value = { name: "person", person: row.author }) });
  const address = `${location.origin}/rooms/${room.id}/${id}`;
  actions.push({ label: strings.room.copyLink, icon: Link, run: () => void copy(chat, address, strings.room.linkCopied) });
  const { number } = row;
  const isRoot = thread?.root === id;
  if (number !== null && !isRoot) actions.push({ label: strings.room.markUnread, icon: EyeOff, run: () => (thread ?? room).markUnread(number - 1) });
  if (own) actions.push({ label: strings.room.delete, icon: Trash2, run: () => deleteOwn(context, row), danger: true });
  else if (changes.manages.value) {
    const ask = { name: "delete-message", room: room.id, message: id, author: row.author } as const;
    actions.push({ label: strings.room.delete, icon: Trash2, run: () => (layout.dialog.value = ask), danger: true });
  }
  return actions;
}

/** The buttons of the message that is pointed at, or has the focus. */
export function MessageActions({ row, context }: { row: MessageRow; context: ActionsContext }) {
  const changes = changesIn(context);
  const key = row.key;
  const isActive = useComputed(() => changes.active.value === key);
  return isActive.value && row.id !== null && !row.deleted && changes.editing.value?.message !== row.id ? (
    <Buttons row={row} context={context} />
  ) : null;
}

function Buttons({ row, context }: { row: MessageRow; context: ActionsContext }) {
  const changes = changesIn(context);
  const root = useRef<HTMLDivElement>(null);
  const pressed = changes.pressed.value === row.key;
  const actions = actionsFor(row, context);
  return (
    <div ref={root} class="message-actions" role="toolbar" aria-label={strings.room.actions(named(row.author))}>
      {actions
        .filter((action) => action.first)
        .map((action) => (
          <button key={action.label} type="button" class="icon-button" aria-label={action.label} title={action.label} onClick={(event) => action.run(event.currentTarget)}>
            <Icon of={action.icon} size={16} />
          </button>
        ))}
      <Menu
        key={String(pressed)}
        label={strings.room.more}
        button={<Icon of={Ellipsis} size={16} />}
        opened={pressed}
        above={() => isLow(root.current)}
        items={actions.map(({ label, icon, run, danger }) => ({
          label,
          icon: <Icon of={icon} />,
          onSelect: () => run(root.current?.querySelector<HTMLElement>("[aria-haspopup=menu]") ?? null),
          ...(danger && { danger }),
        }))}
      />
    </div>
  );
}

/** Asks for an emoji, and puts it under the message. */
export function startReacting({ id }: MessageRow, { chat, room, layout }: ActionsContext, opener: HTMLElement | null): void {
  if (id !== null) layout.pickEmoji(opener, (emoji) => void chat.react(room, id, emoji, true));
}

/** What is written next answers the message. */
export function startReplying({ id, number, author, body, content }: MessageRow, context: ActionsContext): void {
  if (id === null || number === null) return;
  const { chat, room, thread } = context;
  // What the thread is under is answered by whatever is written there.
  const answered = thread?.root === id ? null : { id, number, author, text: words({ body, ...(content && { content }) }, chat.roomLabel) };
  chat.answer(thread ?? room, answered);
  focusComposer(context);
}

/** What is written next goes into the thread under the message, or into the one that it is in. */
export function startThread({ id, thread }: MessageRow, { chat, room, layout }: ActionsContext): void {
  // It may be open under the people.
  layout.people.value = false;
  if (id !== null) chat.openThread(room, thread ?? id);
}

/** What it says as its author wrote it, with names and not ids. */
function textOfRow({ body, content }: MessageRow, chat: Chat): string {
  return writtenOf(body, labelsIn(content ?? [], (id) => chat.roomName(id))).text;
}

/** Whether there is more room above it than below, in the list that it is in. */
function isLow(element: HTMLElement | null): boolean {
  const scroller = element?.closest("[role=log]");
  if (!element || !scroller) return false;
  const [box, around] = [element.getBoundingClientRect(), scroller.getBoundingClientRect()];
  return box.top - around.top > around.bottom - box.bottom;
}

function deleteOwn(context: ActionsContext, row: MessageRow): void {
  const { chat, room } = context;
  const message = row.id === null ? null : room.timeline.find(row.id);
  if (message) changesIn(context).delete(message).catch((error: unknown) => chat.fail(error));
}

async function copy(chat: Chat, text: string, done: string): Promise<void> {
  chat.tell((await copyText(text)) ? done : strings.room.copyFailed);
}
