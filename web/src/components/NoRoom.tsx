import { useEffect, useState } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import type { Layout } from "../models/layout.ts";
import { describe } from "../models/problems.ts";
import { strings } from "../strings.ts";
import { RoomsButton } from "./RoomPage.tsx";

/** In place of a room: what to do when none is open, or the one in the address is not this person's. */
export function NoRoom({ app, chat, layout }: { app: App; chat: Chat; layout: Layout }) {
  const [problem, setProblem] = useState<string | null>(null);
  const [lookedFor, setLookedFor] = useState<string | null>(null);
  const open = chat.open.value;
  const known = chat.known.value.find((room) => room.id === open);
  const { rooms } = strings;
  const isGuest = chat.role.value === "guest";
  const unknown = chat.ready.value && !known && chat.inPages.value && lookedFor !== open ? open : null;
  useEffect(() => {
    if (unknown) void chat.lookFor(unknown).then(() => setLookedFor(unknown));
  }, [chat, unknown]);
  if (!chat.ready.value || unknown) return <p class="visually-hidden">{strings.entry.loading}</p>;

  const join = async (id: string): Promise<void> => {
    try {
      await chat.join(id);
    } catch (error) {
      setProblem(describe(error));
    }
  };

  const title = known ? rooms.notIn(known.name) : open ? rooms.missing : rooms.none;
  const how = known ? (known.topic ?? rooms.notInHow) : open ? rooms.missingHow : isGuest ? rooms.noneGuest : rooms.noneHow;
  return (
    <>
      <header class="room-header">
        <RoomsButton chat={chat} layout={layout} />
      </header>
      <div class="no-room">
        <h1>{title}</h1>
        <p class="lead">{how}</p>
        {problem && (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
        <div class="no-room-actions">
          {known && (
            <button type="button" class="button button-primary" onClick={() => void join(known.id)}>
              {rooms.join}
            </button>
          )}
          {!known && open && chat.home && (
            <button type="button" class="button button-primary" onClick={() => app.navigate("/", true)}>
              {rooms.goBack}
            </button>
          )}
          {!open && !isGuest && (
            <button type="button" class="button button-primary" onClick={() => (layout.dialog.value = { name: "create-room" })}>
              {rooms.create}
            </button>
          )}
          {!isGuest && (
            <button type="button" class="button" onClick={() => (layout.dialog.value = { name: "browse-rooms" })}>
              {rooms.browse}
            </button>
          )}
        </div>
      </div>
    </>
  );
}
