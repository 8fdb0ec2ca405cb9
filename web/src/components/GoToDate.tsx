import { useState } from "preact/hooks";
import type { Chat } from "../models/chat.ts";
import type { Room } from "../models/room.ts";
import { dateField, daysBefore, fromDateField } from "../models/times.ts";
import { strings } from "../strings.ts";
import { Field } from "./Field.tsx";
import { FormDialog } from "./FormDialog.tsx";

/** Goes to what was said first on a day, or after it. */
export function GoToDate({ chat, room, onClose }: { chat: Chat; room: Room; onClose: () => void }) {
  const now = Date.now();
  const { created } = room.info.peek();
  const [day, setDay] = useState(dateField(now));
  const words = strings.goToDate;
  const shortcuts: [string, number][] = [
    [words.beginning, created],
    [words.monthAgo, daysBefore(now, 30)],
    [words.weekAgo, daysBefore(now, 7)],
  ];

  const check = (): Record<string, string> => {
    const time = fromDateField(day);
    if (time === null) return { date: words.noDate };
    return time > now ? { date: words.inFuture } : {};
  };

  const go = async (): Promise<void> => {
    if (!(await chat.goToTime(room, fromDateField(day) ?? now))) chat.tell(words.nothing);
    onClose();
  };

  return (
    <FormDialog title={words.title} names={["date"]} action={words.go} onClose={onClose} check={check} onSubmit={go}>
      {(problems) => (
        <>
          <Field label={words.date} name="date" type="date" value={day} onInput={setDay} error={problems.date} min={dateField(created)} max={dateField(now)} />
          <div class="chips">
            {shortcuts
              .filter(([, time]) => time >= created)
              .map(([label, time]) => (
                <button key={label} type="button" class="chip" aria-pressed={day === dateField(time)} onClick={() => setDay(dateField(time))}>
                  {label}
                </button>
              ))}
          </div>
        </>
      )}
    </FormDialog>
  );
}
