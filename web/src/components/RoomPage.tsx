import {
  Archive,
  ArchiveRestore,
  Bell,
  BellOff,
  CalendarSearch,
  DoorOpen,
  EllipsisVertical,
  Link,
  ListTree,
  Menu as MenuIcon,
  PencilLine,
  Star,
  StarOff,
  UserPlus,
  Users,
} from "lucide";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { isArchived, isDirect, partner } from "../models/kinds.ts";
import type { Layout } from "../models/layout.ts";
import type { Room } from "../models/room.ts";
import { strings } from "../strings.ts";
import type { Preferences } from "../wire.ts";
import { Composer } from "./Composer.tsx";
import { Icon } from "./Icon.tsx";
import { InviteCard } from "./InviteCard.tsx";
import { Menu, type MenuItem } from "./Menu.tsx";
import { MessageList } from "./MessageList.tsx";
import { RoomNote } from "./NameNote.tsx";
import { KindNote, RoomIcon } from "./RoomIcon.tsx";
import { StatusMark } from "./StatusMark.tsx";
import { Toast } from "./Toast.tsx";
import { TypingLine } from "./TypingLine.tsx";

type Props = { app: App; chat: Chat; room: Room; layout: Layout };

/** The open room: its header, its messages and the composer. */
export function RoomPage({ app, chat, room, layout }: Props) {
  const welcome = chat.welcome.value;
  return (
    <>
      <RoomHeader app={app} chat={chat} room={room} layout={layout} />
      <MessageList app={app} chat={chat} room={room} layout={layout} />
      {welcome?.room === room.id && <InviteCard app={app} chat={chat} room={room} welcome={welcome} />}
      <TypingLine room={room} />
      {/* Under a thread that lies over the room nobody would see it. */}
      {(layout.wide.value || !chat.thread.value) && <Toast chat={chat} />}
      {isArchived(room.info.value) ? <ArchivedNote chat={chat} room={room} /> : <Composer chat={chat} room={room} layout={layout} />}
    </>
  );
}

function RoomHeader({ chat, room, layout }: Props) {
  const { name, topic } = room.info.value;
  const here = room.here.value.length;
  const other = partner(room.info.value);
  return (
    <header class="room-header">
      <RoomsButton chat={chat} layout={layout} />
      <span class="room-hash">
        <RoomIcon room={room.info.value} me={chat.me} />
      </span>
      <h1 class="room-name">
        {other ? (
          <button type="button" class="person-button" onClick={() => (layout.dialog.value = { name: "person", person: other })}>
            <bdi>{name}</bdi>
          </button>
        ) : (
          <bdi>{name}</bdi>
        )}
        <KindNote room={room.info.value} />
      </h1>
      <RoomNote room={room.info.value} />
      {other && <StatusMark chat={chat} person={other.id} />}
      {topic && (
        <p class="room-topic" title={topic}>
          <bdi>{topic}</bdi>
        </p>
      )}
      <div class="room-actions">
        <button
          type="button"
          class="button button-people"
          aria-expanded={layout.people.value}
          title={strings.room.people}
          onClick={() => (layout.people.value = !layout.people.peek())}
        >
          <Icon of={Users} size={16} />
          <span class="visually-hidden">{strings.room.people}, </span>
          <span data-testid="here-count">{here}</span>
          <span class="visually-hidden"> {strings.people.hereLabel}</span>
        </button>
        <Menu
          label={strings.room.menu}
          button={<Icon of={EllipsisVertical} />}
          items={roomMenu({ chat, room, layout })}
        />
      </div>
    </header>
  );
}

/** What there is to do with the room, by who this person is in it. */
function roomMenu({ chat, room, layout }: Pick<Props, "chat" | "room" | "layout">): MenuItem[] {
  const info = room.info.value;
  const people = { label: strings.room.people, icon: <Icon of={Users} />, onSelect: () => (layout.people.value = true) };
  const date = { label: strings.goToDate.open, icon: <Icon of={CalendarSearch} />, onSelect: () => (layout.dialog.value = { name: "go-to-date", room: room.id }) };
  const mine = keeping(chat, room, layout);
  if (isDirect(info)) return [people, date, ...mine];
  const dialog = (name: "leave-room" | "edit-room" | "archive-room" | "add-people") => () => (layout.dialog.value = { name, room: room.id });
  const brings = chat.role.value !== "guest";
  return [
    ...(brings
      ? [
          { label: strings.people.add, icon: <Icon of={UserPlus} />, onSelect: dialog("add-people") },
          { label: strings.room.invite, icon: <Icon of={Link} />, onSelect: () => chat.showInvite(room.id) },
        ]
      : []),
    people,
    date,
    ...mine,
    ...(room.manages.value
      ? [
          { label: strings.rooms.edit, icon: <Icon of={PencilLine} />, onSelect: dialog("edit-room") },
          isArchived(info)
            ? { label: strings.rooms.restore, icon: <Icon of={ArchiveRestore} />, onSelect: () => restore(chat, room) }
            : { label: strings.rooms.archive, icon: <Icon of={Archive} />, onSelect: dialog("archive-room") },
        ]
      : []),
    { label: strings.room.leave, icon: <Icon of={DoorOpen} />, danger: true, onSelect: dialog("leave-room") },
  ];
}

/** How this person keeps the room. */
function keeping(chat: Chat, room: Room, layout: Layout): MenuItem[] {
  const { favourite = false, muted = false } = room.info.value;
  const prefer = (edit: Preferences) => (): void => {
    chat.prefer(room, edit).catch((error: unknown) => chat.fail(error));
  };
  return [
    { label: favourite ? strings.rooms.unfavour : strings.rooms.favour, icon: <Icon of={favourite ? StarOff : Star} />, onSelect: prefer({ favourite: !favourite }) },
    { label: muted ? strings.rooms.unmute : strings.rooms.mute, icon: <Icon of={muted ? Bell : BellOff} />, onSelect: prefer({ muted: !muted }) },
    { label: strings.rooms.setSection, icon: <Icon of={ListTree} />, onSelect: () => (layout.dialog.value = { name: "section", room: room.id }) },
  ];
}

function restore(chat: Chat, room: Room): void {
  chat.editRoom(room.id, { archived: false }).catch((error: unknown) => chat.fail(error));
}

/** In the place of the composer, where nothing is written any more. */
function ArchivedNote({ chat, room }: { chat: Chat; room: Room }) {
  return (
    <div class="archived-note">
      <p>{strings.rooms.isArchived}</p>
      {room.manages.value && (
        <button type="button" class="button" onClick={() => restore(chat, room)}>
          {strings.rooms.restore}
        </button>
      )}
    </div>
  );
}

/** Opens the rooms on a narrow screen; its dot says that something is unread in another one. */
export function RoomsButton({ chat, layout }: { chat: Chat; layout: Layout }) {
  const unread = chat.unreadElsewhere.value;
  return (
    <button
      type="button"
      class="icon-button rooms-button"
      aria-label={unread ? strings.rooms.unreadElsewhere : strings.rooms.open}
      aria-expanded={layout.rooms.value}
      onClick={() => (layout.rooms.value = true)}
    >
      <Icon of={MenuIcon} />
      {unread && <span class="dot" aria-hidden="true" />}
    </button>
  );
}
