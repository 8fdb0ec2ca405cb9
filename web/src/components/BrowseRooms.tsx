import { Hash } from "lucide";
import { useEffect, useState } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { describe } from "../models/problems.ts";
import { matching } from "../models/search.ts";
import { mark, strings } from "../strings.ts";
import { Dialog } from "./Dialog.tsx";
import { Icon } from "./Icon.tsx";

/** Every room of the server that is open to this person. */
export function BrowseRooms({ app, chat, onClose }: { app: App; chat: Chat; onClose: () => void }) {
  const [query, setQuery] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => void chat.browse(), [chat]);
  const found = matching(chat.known.value, query);
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
      <ul class="browse" aria-label={strings.rooms.region}>
        {found.map((room) => (
          <li key={room.id} class="browse-room">
            <Icon of={Hash} />
            <div class="browse-words">
              <strong>
                <bdi>{room.name}</bdi>
              </strong>
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
