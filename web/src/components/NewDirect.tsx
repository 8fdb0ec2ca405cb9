import { DIRECT_OTHERS_MAX } from "../limits.ts";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { strings } from "../strings.ts";
import { FormDialog } from "./FormDialog.tsx";
import { PeoplePicker, usePicker } from "./PeoplePicker.tsx";

/** Chooses whom to write to; the same people have the same conversation, whoever begins it. */
export function NewDirect({ app, chat, onClose }: { app: App; chat: Chat; onClose: () => void }) {
  const picker = usePicker(app, DIRECT_OTHERS_MAX);

  const start = async (): Promise<void> => {
    const info = await chat.startDirect(picker.chosen.peek().map((person) => person.id));
    onClose();
    app.navigate(`/rooms/${info.id}`);
  };

  return (
    <FormDialog
      title={strings.direct.title}
      names={[]}
      action={strings.direct.start}
      idle={picker.chosen.value.length === 0}
      onClose={onClose}
      check={() => ({})}
      onSubmit={start}
    >
      {() => (
        <>
          <p class="lead">{strings.direct.lead(DIRECT_OTHERS_MAX)}</p>
          <PeoplePicker picker={picker} most={DIRECT_OTHERS_MAX} me={chat.me} />
        </>
      )}
    </FormDialog>
  );
}
