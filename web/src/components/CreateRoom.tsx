import { useEffect, useRef, useState } from "preact/hooks";
import { NAME_CHARACTERS_MAX, TOPIC_CHARACTERS_MAX } from "../limits.ts";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { formProblems, type FormProblems } from "../models/problems.ts";
import { strings } from "../strings.ts";
import { Dialog } from "./Dialog.tsx";
import { Field } from "./Field.tsx";

export function CreateRoom({ app, chat, onClose }: { app: App; chat: Chat; onClose: () => void }) {
  const [name, setName] = useState("");
  const [topic, setTopic] = useState("");
  const [problems, setProblems] = useState<FormProblems>({ fields: {}, form: null });
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);

  useEffect(() => form.current?.querySelector<HTMLInputElement>("[aria-invalid=true]")?.focus(), [problems]);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    if (name.trim() === "") {
      setProblems({ fields: { name: strings.errors.roomName }, form: null });
      return;
    }
    setBusy(true);
    try {
      const room = await chat.create(name.trim(), topic.trim());
      onClose();
      app.navigate(`/rooms/${room.id}`);
    } catch (error) {
      setProblems(formProblems(error, ["name", "topic"]));
      setBusy(false);
    }
  };

  return (
    <Dialog title={strings.rooms.create} onClose={onClose}>
      <form ref={form} class="form" noValidate method="post" onSubmit={(event) => void submit(event)}>
        <Field
          label={strings.rooms.name}
          name="room"
          value={name}
          onInput={setName}
          error={problems.fields.name}
          hint={strings.rooms.createLead}
          maxLength={NAME_CHARACTERS_MAX}
          required
        />
        <Field
          label={strings.rooms.topic}
          name="topic"
          value={topic}
          onInput={setTopic}
          error={problems.fields.topic}
          hint={strings.rooms.topicHint}
          maxLength={TOPIC_CHARACTERS_MAX}
        />
        {problems.form && (
          <p class="problem" role="alert">
            {problems.form}
          </p>
        )}
        <div class="dialog-actions">
          <button type="button" class="button" onClick={onClose}>
            {strings.rooms.cancel}
          </button>
          <button type="submit" class="button button-primary" disabled={busy}>
            {strings.rooms.createButton}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
