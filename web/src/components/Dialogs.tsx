import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import type { Layout } from "../models/layout.ts";
import { strings } from "../strings.ts";
import { BrowseRooms } from "./BrowseRooms.tsx";
import { Confirm } from "./Confirm.tsx";
import { CreateRoom } from "./CreateRoom.tsx";
import { DeleteMessage } from "./DeleteMessage.tsx";
import { Devices } from "./Devices.tsx";
import { MessageEdits } from "./MessageEdits.tsx";
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
    case "devices":
      return <Devices app={app} onClose={close} />;
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
    case "leave-room":
      return (
        <Confirm
          title={strings.room.leaveTitle(chat.find(dialog.room)?.info.value.name ?? "")}
          lead={strings.room.leaveLead}
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
      return room ? <MessageEdits app={app} room={room} message={dialog.message} onClose={close} /> : null;
    }
    case "remove-member":
      return (
        <Confirm
          title={strings.people.removeTitle(dialog.person.name, chat.find(dialog.room)?.info.value.name ?? "")}
          lead={strings.people.removeLead}
          action={strings.people.remove}
          onConfirm={async () => {
            await app.api.remove(dialog.room, dialog.person.id);
          }}
          onClose={close}
        />
      );
  }
}
