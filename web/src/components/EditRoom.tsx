import { useState } from "preact/hooks";
import type { RoomEdit } from "../api.ts";
import { DESCRIPTION_CHARACTERS_MAX, NAME_CHARACTERS_MAX, TOPIC_CHARACTERS_MAX } from "../limits.ts";
import type { Chat } from "../models/chat.ts";
import { kindOf } from "../models/kinds.ts";
import type { Layout } from "../models/layout.ts";
import type { Room } from "../models/room.ts";
import { strings } from "../strings.ts";
import { Audience } from "./Audience.tsx";
import { Field } from "./Field.tsx";
import { FormDialog } from "./FormDialog.tsx";

/** What whoever looks after a room changes about it. To open it to everybody is asked for once more. */
export function EditRoom({ chat, room, layout, written = {}, onClose }: { chat: Chat; room: Room; layout: Layout; written?: RoomEdit | undefined; onClose: () => void }) {
  const before = room.info.peek();
  const wasHidden = kindOf(before) === "private";
  const [name, setName] = useState(written.name ?? before.name);
  const [topic, setTopic] = useState(written.topic ?? before.topic ?? "");
  const [description, setDescription] = useState(written.description ?? before.description ?? "");
  const [hidden, setHidden] = useState(written.private ?? wasHidden);

  const save = async (): Promise<void> => {
    const edit: RoomEdit = {
      ...(name.trim() !== before.name && { name: name.trim() }),
      ...(topic.trim() !== (before.topic ?? "") && { topic: topic.trim() }),
      ...(description.trim() !== (before.description ?? "") && { description: description.trim() }),
      ...(hidden !== wasHidden && { private: hidden }),
    };
    if (edit.private === false) {
      layout.dialog.value = { name: "open-room", room: room.id, edit };
      return;
    }
    if (Object.keys(edit).length > 0) await chat.editRoom(room.id, edit);
    onClose();
  };

  return (
    <FormDialog
      title={strings.rooms.editTitle(before.name)}
      names={["name", "topic", "description"]}
      action={strings.rooms.save}
      onClose={onClose}
      check={() => (name.trim() === "" ? { name: strings.errors.roomName } : {})}
      onSubmit={save}
    >
      {(problems) => (
        <>
          <Field label={strings.rooms.name} name="room" value={name} onInput={setName} error={problems.name} maxLength={NAME_CHARACTERS_MAX} required />
          <Field
            label={strings.rooms.topic}
            name="topic"
            value={topic}
            onInput={setTopic}
            error={problems.topic}
            hint={strings.rooms.topicHint}
            maxLength={TOPIC_CHARACTERS_MAX}
          />
          <Field
            label={strings.rooms.description}
            name="description"
            value={description}
            onInput={setDescription}
            error={problems.description}
            hint={strings.rooms.descriptionHint}
            maxLength={DESCRIPTION_CHARACTERS_MAX}
            lines={3}
          />
          <Audience hidden={hidden} onChange={setHidden} />
        </>
      )}
    </FormDialog>
  );
}
