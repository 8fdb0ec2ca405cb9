import { useEffect, useRef, useState } from "preact/hooks";
import { DELETE_REASON_CHARACTERS_MAX } from "../limits.ts";
import type { Chat } from "../models/chat.ts";
import { formProblems, type FormProblems } from "../models/problems.ts";
import { strings } from "../strings.ts";
import type { PersonRef } from "../wire.ts";
import { Dialog } from "./Dialog.tsx";
import { Field } from "./Field.tsx";

type Props = { chat: Chat; room: string; message: string; author: PersonRef; onClose: () => void };

/** Asks why somebody else's message is deleted. */
export function DeleteMessage({ chat, room, message, author, onClose }: Props) {
  const [reason, setReason] = useState("");
  const [problems, setProblems] = useState<FormProblems>({ fields: {}, form: null });
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);

  useEffect(() => form.current?.querySelector<HTMLInputElement>("[aria-invalid=true]")?.focus(), [problems]);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    if (reason.trim() === "") {
      setProblems({ fields: { reason: strings.room.deleteReasonEmpty }, form: null });
      return;
    }
    setBusy(true);
    try {
      await chat.find(room)?.changes.deleteById(message, reason.trim());
      onClose();
    } catch (error) {
      setProblems(formProblems(error, ["reason"]));
      setBusy(false);
    }
  };

  return (
    <Dialog title={strings.room.deleteTitle(author)} onClose={onClose}>
      <form ref={form} class="form" noValidate method="post" onSubmit={(event) => void submit(event)}>
        <p class="lead">{strings.room.deleteLead}</p>
        <Field
          label={strings.room.deleteReason}
          name="reason"
          value={reason}
          onInput={setReason}
          error={problems.fields.reason}
          maxLength={DELETE_REASON_CHARACTERS_MAX}
          required
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
          <button type="submit" class="button button-danger" disabled={busy}>
            {strings.room.delete}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
