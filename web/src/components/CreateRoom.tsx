import { useState } from "preact/hooks";
import { NAME_CHARACTERS_MAX, TOPIC_CHARACTERS_MAX } from "../limits.ts";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { strings } from "../strings.ts";
import { Audience } from "./Audience.tsx";
import { Field } from "./Field.tsx";
import { FormDialog } from "./FormDialog.tsx";

export function CreateRoom({ app, chat, onClose }: { app: App; chat: Chat; onClose: () => void }) {
  const [name, setName] = useState("");
  const [topic, setTopic] = useState("");
  const [hidden, setHidden] = useState(false);

  const create = async (): Promise<void> => {
    const room = await chat.create(name.trim(), topic.trim(), hidden);
    onClose();
    app.navigate(`/rooms/${room.id}`);
  };

  return (
    <FormDialog
      title={strings.rooms.create}
      names={["name", "topic"]}
      action={strings.rooms.createButton}
      onClose={onClose}
      check={() => (name.trim() === "" ? { name: strings.errors.roomName } : {})}
      onSubmit={create}
    >
      {(problems) => (
        <>
          <Field
            label={strings.rooms.name}
            name="room"
            value={name}
            onInput={setName}
            error={problems.name}
            maxLength={NAME_CHARACTERS_MAX}
            required
          />
          <Field
            label={strings.rooms.topic}
            name="topic"
            value={topic}
            onInput={setTopic}
            error={problems.topic}
            hint={strings.rooms.topicHint}
            maxLength={TOPIC_CHARACTERS_MAX}
          />
          <Audience hidden={hidden} onChange={setHidden} />
        </>
      )}
    </FormDialog>
  );
}
