import { useEffect, useState } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { labelsIn, writtenOf } from "../models/mentions.ts";
import { describe } from "../models/problems.ts";
import type { Room } from "../models/room.ts";
import { fullTime, machineTime } from "../models/times.ts";
import { strings } from "../strings.ts";
import type { Block, Edit } from "../wire.ts";
import { Dialog } from "./Dialog.tsx";

type Props = { app: App; chat: Chat; room: Room; message: string; onClose: () => void };

/** What a message said before it was edited, the newest first. */
export function MessageEdits({ app, chat, room, message, onClose }: Props) {
  const [edits, setEdits] = useState<Edit[] | null>(null);
  const [more, setMore] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);

  const load = async (before?: number): Promise<void> => {
    try {
      const page = await app.api.edits(room.id, message, before);
      setEdits((known) => [...(before === undefined ? [] : (known ?? [])), ...page.edits.reverse()]);
      setMore(page.more);
      setProblem(null);
    } catch (error) {
      setProblem(describe(error));
    }
  };
  // eslint-disable-next-line react-hooks/exhaustive-deps -- read once, when it is opened
  useEffect(() => void load(), []);

  // As it was written, with names and not ids.
  const textOf = (body: string, content: readonly Block[] = []): string => writtenOf(body, labelsIn(content, (id) => chat.roomName(id))).text;
  const { version } = room;
  const present = version.value >= 0 ? room.changes.find(message) : null;
  const last = edits?.at(-1);
  return (
    <Dialog title={strings.room.edits} onClose={onClose} wide>
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {present?.deleted ? (
        <p class="lead">{strings.room.editsNone}</p>
      ) : (
        <ol class="edits">
          {present && (
            <li class="edit">
              <p class="edit-time">{strings.room.editsNow}</p>
              <p class="message-body" dir="auto">
                {textOf(present.body ?? "", present.content)}
              </p>
            </li>
          )}
          {edits?.map((edit) => (
            <li key={edit.number} class="edit">
              <time class="edit-time" dateTime={machineTime(edit.time)}>
                {fullTime(edit.time)}
              </time>
              <p class="message-body" dir="auto">
                {textOf(edit.body, edit.content)}
              </p>
            </li>
          ))}
        </ol>
      )}
      {more && last && (
        <button type="button" class="link-button" onClick={() => void load(last.number)}>
          {strings.room.editsMore}
        </button>
      )}
    </Dialog>
  );
}
