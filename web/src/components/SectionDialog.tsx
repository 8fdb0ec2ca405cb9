import { useState } from "preact/hooks";
import { SECTION_CHARACTERS_MAX } from "../limits.ts";
import type { Chat } from "../models/chat.ts";
import type { Room } from "../models/room.ts";
import { strings } from "../strings.ts";
import { Field } from "./Field.tsx";
import { FormDialog } from "./FormDialog.tsx";

/** Under which heading of their own somebody lists a room. */
export function SectionDialog({ chat, room, onClose }: { chat: Chat; room: Room; onClose: () => void }) {
  const { name, section: before = "" } = room.info.peek();
  const [section, setSection] = useState(before);
  const there = chat.sections.value.flatMap((one) => (one.kind === "own" ? [one.name] : []));

  const save = async (): Promise<void> => {
    if (section.trim() !== before) await chat.prefer(room, { section: section.trim() });
    onClose();
  };

  return (
    <FormDialog title={strings.rooms.sectionTitle(name)} names={["section"]} action={strings.rooms.save} onClose={onClose} check={() => ({})} onSubmit={save}>
      {(problems) => (
        <>
          <Field
            label={strings.rooms.section}
            name="section"
            value={section}
            onInput={setSection}
            error={problems.section}
            hint={strings.rooms.sectionHint}
            maxLength={SECTION_CHARACTERS_MAX}
          />
          {there.length > 0 && (
            <div class="chips" role="group" aria-label={strings.rooms.sectionsThere}>
              {there.map((one) => (
                <button key={one} type="button" class="chip" aria-pressed={one === section.trim()} onClick={() => setSection(one)}>
                  <bdi>{one}</bdi>
                </button>
              ))}
            </div>
          )}
        </>
      )}
    </FormDialog>
  );
}
