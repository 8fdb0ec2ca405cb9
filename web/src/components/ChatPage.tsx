import { useEffect, useMemo } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { Layout } from "../models/layout.ts";
import { isolated, strings } from "../strings.ts";
import { ActivityPage } from "./ActivityPage.tsx";
import { Announcer } from "./Announcer.tsx";
import { ConnectionBar } from "./ConnectionBar.tsx";
import { Dialogs } from "./Dialogs.tsx";
import { EmojiPicker } from "./EmojiPicker.tsx";
import { PeoplePanel } from "./PeoplePanel.tsx";
import { useAttendance } from "./attendance.ts";
import { focusComposer, focusNextRegion, stepRoom, isTyping } from "./keyboard.ts";
import { SettingsDialog } from "./settings/SettingsDialog.tsx";
import { RoomPage } from "./RoomPage.tsx";
import { NoRoom } from "./NoRoom.tsx";
import { Sidebar } from "./Sidebar.tsx";
import { ThreadPanel } from "./ThreadPanel.tsx";
import { ThreadsPage } from "./ThreadsPage.tsx";

/** Rooms, the open room, its people, and the keys that work everywhere. */
export function ChatPage({ app, chat }: { app: App; chat: Chat }) {
  const layout = useMemo(() => new Layout(), []);
  useEffect(() => () => layout.close(), [layout]);
  const room = chat.room.value;
  const unread = chat.unreadTotal.value;
  const mentions = chat.mentionsTotal.value;
  const overview = chat.overview.value;
  const opened = chat.thread.value;
  const page = chat.activity.open.value ? strings.activity.title : overview ? strings.threads.heading : null;

  useEffect(() => {
    if (opened) layout.people.value = false;
  }, [opened, layout]);
  const section = app.settings.value;

  useEffect(() => {
    const { server_name: server } = app.boot;
    const shown = page ?? (room && isolated(room.info.value.name));
    const name = shown ? `${shown} · ${isolated(server)}` : server;
    const waits = [...(mentions > 0 ? [`@${mentions}`] : []), ...(unread > 0 ? [String(unread)] : [])].join(", ");
    document.title = waits ? `(${waits}) ${name}` : name;
  }, [app, room, room?.info.value.name, page, unread, mentions]);

  useEffect(() => {
    const keys = (event: KeyboardEvent): void => {
      if (event.isComposing || event.defaultPrevented) return;
      const command = event.ctrlKey || event.metaKey;
      if (command && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
        layout.dialog.value = layout.dialog.peek()?.name === "switcher" ? null : { name: "switcher" };
      } else if (layout.dialog.peek() || layout.picker.peek() || app.settings.peek()) {
        return; // the dialog has its own keys
      } else if (event.altKey && !command && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
        const next = stepRoom(chat, event.key === "ArrowDown" ? 1 : -1, event.shiftKey);
        if (next) app.navigate(`/rooms/${next}`);
      } else if (event.key === "F6") {
        focusNextRegion(event.shiftKey ? -1 : 1);
      } else if (event.key === "Escape" && event.shiftKey && !event.altKey && !command) {
        void chat.markAllRead();
      } else if (event.key === "Escape") {
        if (!layout.closeInnermost()) {
          if (chat.thread.peek()) chat.closeThread();
          else focusComposer();
        }
      } else if (event.key === "?" && !command && !isTyping(event.target)) {
        layout.dialog.value = { name: "shortcuts" };
      } else {
        return;
      }
      event.preventDefault();
    };
    document.addEventListener("keydown", keys);
    return () => document.removeEventListener("keydown", keys);
  }, [app, chat, layout]);

  useAttendance(chat);

  const isAway = chat.live.away.value || chat.live.state.value === "stopped";
  const overlaid = !layout.wide.value && layout.people.value && room !== null;
  // Beside the room there is place for one of them.
  const thread = room && !layout.people.value ? chat.thread.value : null;
  const covered = overlaid || (!layout.wide.value && thread !== null) || (!layout.wide.value && layout.rooms.value);
  return (
    <div class={`chat${layout.people.value && room ? " chat-people" : thread ? " chat-thread" : ""}${isAway ? " chat-away" : ""}`}>
      <a
        class="skip"
        href="#composer"
        onClick={(event) => {
          event.preventDefault();
          focusComposer();
        }}
      >
        {strings.skip}
      </a>
      <Sidebar app={app} chat={chat} layout={layout} />
      {covered && <div class="scrim" onClick={() => layout.closeInnermost() || chat.closeThread()} />}
      <main class="main" inert={covered} aria-label={page ?? (room ? strings.room.region(room.info.value.name) : strings.rooms.region)}>
        <ConnectionBar chat={chat} />
        {chat.activity.open.value ? (
          <ActivityPage app={app} chat={chat} layout={layout} />
        ) : overview ? (
          <ThreadsPage app={app} chat={chat} layout={layout} />
        ) : room ? (
          <RoomPage key={room.id} app={app} chat={chat} room={room} layout={layout} />
        ) : (
          <NoRoom app={app} chat={chat} layout={layout} />
        )}
      </main>
      {room && thread && <ThreadPanel key={thread.key} app={app} chat={chat} room={room} thread={thread} layout={layout} />}
      {room && layout.people.value && <PeoplePanel key={room.id} app={app} chat={chat} room={room} layout={layout} />}
      {section && <SettingsDialog app={app} chat={chat} layout={layout} section={section} />}
      <Dialogs app={app} chat={chat} layout={layout} />
      {layout.picker.value && <EmojiPicker chat={chat} layout={layout} />}
      <Announcer chat={chat} />
    </div>
  );
}
