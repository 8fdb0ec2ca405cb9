import { useEffect, useState } from "preact/hooks";
import { ADD_PEOPLE_MAX } from "../limits.ts";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { describe } from "../models/problems.ts";
import type { Room } from "../models/room.ts";
import { strings } from "../strings.ts";
import { Dialog } from "./Dialog.tsx";
import { FormDialog } from "./FormDialog.tsx";
import { PeoplePicker, usePicker } from "./PeoplePicker.tsx";

type Props = { app: App; chat: Chat; room: Room; onClose: () => void };

/** Brings people into a room, who hear of it at once. */
export function AddPeople(props: Props) {
  const { app, room, onClose } = props;
  const [members, setMembers] = useState<string[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    app.api.members(room.id).then(
      (answer) => setMembers(answer.members.map((member) => member.id)),
      (error: unknown) => setProblem(describe(error)),
    );
  }, [app, room]);
  if (members) return <Choose {...props} members={members} />;
  return (
    <Dialog title={strings.people.addTitle(room.info.value.name)} onClose={onClose}>
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
    </Dialog>
  );
}

function Choose({ app, chat, room, members, onClose }: Props & { members: string[] }) {
  const picker = usePicker(app, ADD_PEOPLE_MAX, members);
  const { name } = room.info.value;

  const add = async (): Promise<void> => {
    const chosen = picker.chosen.peek();
    for (const person of chosen) {
      await app.api.addMember(room.id, person.id);
      // Whoever is in stays in, should the next one not be taken.
      picker.drop(person.id);
    }
    onClose();
    chat.tell(strings.people.added(chosen, name));
  };

  return (
    <FormDialog
      title={strings.people.addTitle(name)}
      names={[]}
      action={strings.people.addButton}
      idle={picker.chosen.value.length === 0}
      onClose={onClose}
      check={() => ({})}
      onSubmit={add}
    >
      {() => <PeoplePicker picker={picker} most={ADD_PEOPLE_MAX} me={chat.me} />}
    </FormDialog>
  );
}
