import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { describe } from "../models/problems.ts";
import { matching } from "../models/search.ts";
import { strings } from "../strings.ts";
import { Dialog } from "./Dialog.tsx";
import { RoomNote } from "./NameNote.tsx";
import { KindNote, RoomIcon } from "./RoomIcon.tsx";

/** Type a few letters of a room's name, press Enter, be there. */
export function Switcher({ app, chat, onClose }: { app: App; chat: Chat; onClose: () => void }) {
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const [problem, setProblem] = useState<string | null>(null);
  const list = useRef<HTMLUListElement>(null);
  const id = useId();
  const found = matching(chat.known.value, query);
  const hasMore = chat.moreAfter.value !== null;
  const chosen = Math.min(at, found.length - 1);

  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [chosen]);

  const go = (room: string): void => {
    onClose();
    app.navigate(`/rooms/${room}`);
  };

  const keys = (event: KeyboardEvent): void => {
    const room = found[chosen];
    if (event.key === "ArrowDown") setAt((chosen + 1) % Math.max(1, found.length));
    else if (event.key === "ArrowUp") setAt((chosen - 1 + found.length) % Math.max(1, found.length));
    else if (event.key === "Enter" && room && !event.isComposing) go(room.id);
    else return;
    event.preventDefault();
  };

  return (
    <Dialog title={strings.switcher.title} onClose={onClose}>
      <input
        class="input"
        role="combobox"
        aria-label={strings.switcher.label}
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={found.length > 0 ? `${id}-${chosen}` : undefined}
        placeholder={strings.switcher.label}
        autocomplete="off"
        value={query}
        onInput={(event) => {
          setQuery(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={keys}
      />
      <ul ref={list} id={id} class="switcher" role="listbox" aria-label={strings.rooms.region}>
        {found.map((room, index) => (
          <li
            key={room.id}
            id={`${id}-${index}`}
            class="switcher-room"
            role="option"
            aria-selected={index === chosen}
            onPointerMove={() => setAt(index)}
            onClick={() => go(room.id)}
          >
            <RoomIcon room={room} me={chat.me} size={16} />
            <bdi>{room.name}</bdi>
            <KindNote room={room} />
            <RoomNote room={room} />
            {!room.member && <span class="switcher-note">{strings.switcher.notJoined}</span>}
          </li>
        ))}
      </ul>
      {found.length === 0 && (
        <p class="lead" role="status">
          {hasMore ? strings.switcher.nothingYet : strings.switcher.nothing}
        </p>
      )}
      {hasMore && query !== "" && (
        <button type="button" class="button" onClick={() => void chat.knowMore().catch((error: unknown) => setProblem(describe(error)))}>
          {strings.rooms.more}
        </button>
      )}
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
    </Dialog>
  );
}
