import { useState } from "preact/hooks";
import { DELETE_REASON_CHARACTERS_MAX } from "../limits.ts";
import type { Chat } from "../models/chat.ts";
import { strings } from "../strings.ts";
import type { PersonRef } from "../wire.ts";
import { Field } from "./Field.tsx";
import { FormDialog } from "./FormDialog.tsx";

type Props = { chat: Chat; room: string; message: string; author: PersonRef; onClose: () => void };

/** Asks why somebody else's message is deleted. */
export function DeleteMessage({ chat, room, message, author, onClose }: Props) {
  const [reason, setReason] = useState("");

  const remove = async (): Promise<void> => {
    await chat.find(room)?.changes.deleteById(message, reason.trim());
    onClose();
  };

  return (
    <FormDialog
      title={strings.room.deleteTitle(author)}
      names={["reason"]}
      action={strings.room.delete}
      danger
      onClose={onClose}
      check={() => (reason.trim() === "" ? { reason: strings.room.deleteReasonEmpty } : {})}
      onSubmit={remove}
    >
      {(problems) => (
        <>
          <p class="lead">{strings.room.deleteLead}</p>
          <Field
            label={strings.room.deleteReason}
            name="reason"
            value={reason}
            onInput={setReason}
            error={problems.reason}
            maxLength={DELETE_REASON_CHARACTERS_MAX}
            required
          />
        </>
      )}
    </FormDialog>
  );
}
