import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import type { DialogName, Layout } from "../models/layout.ts";
import { strings } from "../strings.ts";
import { AddPeople } from "./AddPeople.tsx";
import { BrowseRooms } from "./BrowseRooms.tsx";
import { Confirm } from "./Confirm.tsx";
import { CreateRoom } from "./CreateRoom.tsx";
import { DeleteMessage } from "./DeleteMessage.tsx";
import { EditRoom } from "./EditRoom.tsx";
import { GoToDate } from "./GoToDate.tsx";
import { MessageEdits } from "./MessageEdits.tsx";
import { NewDirect } from "./NewDirect.tsx";
import { PersonCard } from "./PersonCard.tsx";
import { SectionDialog } from "./SectionDialog.tsx";
import { Shortcuts } from "./Shortcuts.tsx";
import { Switcher } from "./Switcher.tsx";

/** Whichever dialog is open. */
export function Dialogs({ app, chat, layout }: { app: App; chat: Chat; layout: Layout }) {
  const dialog = layout.dialog.value;
  const close = (): void => {
    layout.dialog.value = null;
  };
  switch (dialog?.name) {
    case undefined:
      return null;
    case "switcher":
      return <Switcher app={app} chat={chat} onClose={close} />;
    case "shortcuts":
      return <Shortcuts onClose={close} />;
    case "create-room":
      return <CreateRoom app={app} chat={chat} onClose={close} />;
    case "browse-rooms":
      return <BrowseRooms app={app} chat={chat} onClose={close} />;
    case "new-direct":
      return <NewDirect app={app} chat={chat} onClose={close} />;
    case "add-people":
    case "edit-room":
    case "open-room":
    case "archive-room":
    case "section":
    case "go-to-date":
      return <RoomDialog app={app} chat={chat} layout={layout} dialog={dialog} onClose={close} />;
    case "person":
      return <PersonCard key={dialog.person.id} app={app} chat={chat} person={dialog.person} onClose={close} />;
    case "sign-out":
      return (
        <Confirm
          title={strings.me.unsentTitle}
          lead={strings.me.unsentLead(chat.outbox.size)}
          action={strings.me.signOut}
          onConfirm={() => app.signOut()}
          onClose={close}
        />
      );
    case "tell-everybody":
      return (
        <Confirm
          title={strings.mentions.tellTitle(dialog.members - 1)}
          calm
          lead={strings.mentions.tellLead}
          action={strings.mentions.tellButton}
          onConfirm={() => {
            dialog.send();
            return Promise.resolve();
          }}
          onClose={close}
        />
      );
    case "leave-room":
      return (
        <Confirm
          title={strings.room.leaveTitle(chat.find(dialog.room)?.info.value.name ?? "")}
          lead={chat.find(dialog.room)?.info.value.kind === "private" ? strings.room.leavePrivateLead : strings.room.leaveLead}
          action={strings.room.leaveButton}
          onConfirm={async () => {
            await chat.leave(dialog.room);
            app.navigate("/", true);
          }}
          onClose={close}
        />
      );
    case "delete-message":
      return <DeleteMessage chat={chat} room={dialog.room} message={dialog.message} author={dialog.author} onClose={close} />;
    case "edits": {
      const room = chat.find(dialog.room);
      return room ? <MessageEdits app={app} chat={chat} room={room} message={dialog.message} onClose={close} /> : null;
    }
    case "remove-member":
      return (
        <Confirm
          title={strings.people.removeTitle(dialog.person.name, chat.find(dialog.room)?.info.value.name ?? "")}
          lead={strings.people.removeLead}
          action={strings.people.removeButton}
          onConfirm={async () => {
            await app.api.remove(dialog.room, dialog.person.id);
          }}
          onClose={close}
        />
      );
  }
}

type RoomDialogProps = {
  app: App;
  chat: Chat;
  layout: Layout;
  dialog: Extract<DialogName, { name: "add-people" } | { name: "edit-room" } | { name: "open-room" } | { name: "archive-room" } | { name: "section" } | { name: "go-to-date" }>;
  onClose: () => void;
};

/** Those about what a room is; gone with it. */
function RoomDialog({ app, chat, layout, dialog, onClose }: RoomDialogProps) {
  const room = chat.find(dialog.room);
  if (!room) return null;
  const { name } = room.info.value;
  switch (dialog.name) {
    case "add-people":
      return <AddPeople app={app} chat={chat} room={room} onClose={onClose} />;
    case "edit-room":
      return <EditRoom chat={chat} room={room} layout={layout} written={dialog.edit} onClose={onClose} />;
    case "open-room":
      return (
        <Confirm
          title={strings.rooms.openTitle(name)}
          lead={strings.rooms.openLead}
          action={strings.rooms.openButton}
          onConfirm={() => chat.editRoom(room.id, dialog.edit)}
          onCancel={() => (layout.dialog.value = { name: "edit-room", room: room.id, edit: dialog.edit })}
          onClose={onClose}
        />
      );
    case "go-to-date":
      return <GoToDate chat={chat} room={room} onClose={onClose} />;
    case "section":
      return <SectionDialog chat={chat} room={room} onClose={onClose} />;
    case "archive-room":
      return (
        <Confirm
          title={strings.rooms.archiveTitle(name)}
          lead={strings.rooms.archiveLead}
          action={strings.rooms.archiveButton}
          onConfirm={() => chat.editRoom(room.id, { archived: true })}
          onClose={onClose}
        />
      );
  }
}
