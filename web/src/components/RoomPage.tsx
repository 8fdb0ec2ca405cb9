import { EllipsisVertical, DoorOpen, Hash, Menu as MenuIcon, UserPlus, Users } from "lucide";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import type { Layout } from "../models/layout.ts";
import type { Room } from "../models/room.ts";
import { strings } from "../strings.ts";
import { Composer } from "./Composer.tsx";
import { Icon } from "./Icon.tsx";
import { InviteCard } from "./InviteCard.tsx";
import { Menu } from "./Menu.tsx";
import { MessageList } from "./MessageList.tsx";
import { RoomNote } from "./NameNote.tsx";
import { Toast } from "./Toast.tsx";
import { TypingLine } from "./TypingLine.tsx";

type Props = { app: App; chat: Chat; room: Room; layout: Layout };

/** The open room: its header, its messages and the composer. */
export function RoomPage({ app, chat, room, layout }: Props) {
  const welcome = chat.welcome.value;
  return (
    <>
      <RoomHeader app={app} chat={chat} room={room} layout={layout} />
      <MessageList chat={chat} room={room} layout={layout} />
      {welcome?.room === room.id && <InviteCard app={app} chat={chat} room={room} welcome={welcome} />}
      <TypingLine room={room} />
      <Toast chat={chat} />
      <Composer chat={chat} room={room} layout={layout} />
    </>
  );
}

function RoomHeader({ chat, room, layout }: Props) {
  const { name, topic } = room.info.value;
  const here = room.here.value.length;
  return (
    <header class="room-header">
      <RoomsButton chat={chat} layout={layout} />
      <span class="room-hash">
        <Icon of={Hash} />
      </span>
      <h1 class="room-name">
        <bdi>{name}</bdi>
      </h1>
      <RoomNote room={room.info.value} />
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
          items={[
            {
              label: strings.room.invite,
              icon: <Icon of={UserPlus} />,
              onSelect: () => chat.showInvite(room.id),
            },
            { label: strings.room.people, icon: <Icon of={Users} />, onSelect: () => (layout.people.value = true) },
            {
              label: strings.room.leave,
              icon: <Icon of={DoorOpen} />,
              danger: true,
              onSelect: () => (layout.dialog.value = { name: "leave-room", room: room.id }),
            },
          ]}
        />
      </div>
    </header>
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
