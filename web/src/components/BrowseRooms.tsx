import { useEffect, useState } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { isArchived, isDirect } from "../models/kinds.ts";
import { describe } from "../models/problems.ts";
import { matching } from "../models/search.ts";
import { mark, strings } from "../strings.ts";
import type { RoomInfo } from "../wire.ts";
import { Dialog } from "./Dialog.tsx";
import { KindNote, RoomIcon } from "./RoomIcon.tsx";

/** Every room of the server that is open to this person. */
export function BrowseRooms({ app, chat, onClose }: { app: App; chat: Chat; onClose: () => void }) {
  const [query, setQuery] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => void chat.browse(), [chat]);
  const found = matching(chat.known.value, query).filter((room) => !isDirect(room));
  const inUse = found.filter((room) => !isArchived(room));
  const archived = found.filter(isArchived);
  const hasMore = chat.moreAfter.value !== null;
  const nothing = !query ? strings.rooms.nothingToBrowse : hasMore ? strings.switcher.nothingYet : strings.switcher.nothing;

  const go = async (id: string, member: boolean): Promise<void> => {
    try {
      if (!member) await chat.join(id);
      onClose();
      app.navigate(`/rooms/${id}`);
    } catch (error) {
      setProblem(describe(error));
    }
  };

  return (
    <Dialog title={strings.rooms.browse} onClose={onClose} wide>
      <input
        class="input"
        type="search"
        aria-label={strings.rooms.filter}
        placeholder={strings.rooms.filter}
        value={query}
        onInput={(event) => setQuery(event.currentTarget.value)}
      />
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <RoomsToChoose rooms={inUse} label={strings.rooms.region} chat={chat} go={go} />
      {archived.length > 0 && (
        <>
          <h3 class="browse-heading">{strings.rooms.archivedHeading}</h3>
          <RoomsToChoose rooms={archived} label={strings.rooms.archivedHeading} chat={chat} go={go} />
        </>
      )}
      {found.length === 0 && (
        <p class="lead" role="status">
          {nothing}
        </p>
      )}
      {hasMore && (
        <button type="button" class="button" onClick={() => void chat.knowMore().catch((error: unknown) => setProblem(describe(error)))}>
          {strings.rooms.more}
        </button>
      )}
    </Dialog>
  );
}

type ListProps = { rooms: readonly RoomInfo[]; label: string; chat: Chat; go: (id: string, member: boolean) => Promise<void> };

function RoomsToChoose({ rooms, label, chat, go }: ListProps) {
  return (
    <ul class="browse" aria-label={label}>
      {rooms.map((room) => (
        <li key={room.id} class="browse-room">
          <RoomIcon room={room} me={chat.me} />
          <div class="browse-words">
            <strong>
              <bdi>{room.name}</bdi>
            </strong>
            <KindNote room={room} />
            {room.same_name && <span class="person-note">{` ${mark(room)}, ${strings.rooms.alike}`}</span>}
            {room.topic && <p>{room.topic}</p>}
            <p class="browse-count">{strings.rooms.members(room.members)}</p>
          </div>
          <button
            type="button"
            class={room.member ? "button" : "button button-primary"}
            aria-label={`${room.member ? strings.rooms.openRoom : strings.rooms.join} ${room.name}`}
            onClick={() => void go(room.id, room.member)}
          >
            {room.member ? strings.rooms.openRoom : strings.rooms.join}
          </button>
        </li>
      ))}
    </ul>
  );
}
