/** Editing, deleting and restoring as the page shows them, before and after the server has answered. */
import { signal } from "@preact/signals";
import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../src/api.ts";
import { Changes, type ChangesContext, type Undoable } from "../src/models/changes.ts";
import { Timeline } from "../src/models/timeline.ts";
import type { Message, RoomEvent } from "../src/wire.ts";
import type { Written } from "../src/models/mentions.ts";
import { ANA, BEN } from "./world.ts";

const plain = (text: string): Written => ({ text, mentions: [] });

const message = (number: number, author = ANA, body = `text ${number}`): Message => ({
  id: `m${number}`, room: "r", number, client_id: `c${number}`, author, body, time: number,
});
const gone = (of: Message, by = ANA): Message => ({ ...of, body: "", deleted: { time: 9, by } });
const event = (type: string, number: number, about: Message): RoomEvent => ({ type, number, time: number, message: about });

/** A room with a message of Ana's, one of Ben's, and what a server answers. */
function room(answers: Partial<ChangesContext["api"]>) {
  const timeline = new Timeline();
  timeline.subscribed(0, "epoch");
  timeline.live(event("message.posted", 1, message(1)));
  timeline.live(event("message.posted", 2, message(2, BEN)));
  const refused = () => Promise.reject(new ApiError(409, "too_late", "Too late."));
  const undo: (Undoable | null)[] = [];
  const changes = new Changes(
    { id: "r", timeline, changed: () => undefined },
    {
      me: ANA,
      manages: signal(false),
      undoable: (what) => undo.push(what),
      api: { editMessage: refused, deleteMessage: refused, restoreMessage: refused, ...answers },
    },
  );
  return { timeline, changes, undo, seen: (id: string) => timeline.find(id) };
}

test("the last own message that stands is the one that is edited", () => {
  const { timeline, changes } = room({});
  assert.equal(changes.last()?.id, "m1");
  timeline.live(event("message.posted", 3, message(3)));
  assert.equal(changes.last()?.id, "m3");
  timeline.live(event("message.deleted", 4, gone(message(3))));
  assert.equal(changes.last()?.id, "m1");
});

test("an edit is shown when the server has answered, and the editor keeps its text when it refuses", async () => {
  const edited = { ...message(1), body: "other", edited: 5 };
  const { changes, seen } = room({ editMessage: (_room, _id, body) => Promise.resolve({ ...edited, body }) });
  changes.edit("m1", plain("text 1"));
  changes.write(plain(" other "));
  assert.equal(await changes.save(), true);
  assert.deepEqual([seen("m1")?.body, changes.editing.value], ["other", null]);

  const refusing = room({});
  refusing.changes.edit("m1", plain("text 1"));
  refusing.changes.write(plain("lost?"));
  assert.equal(await refusing.changes.save(), false);
  assert.deepEqual(refusing.changes.editing.value, { message: "m1", written: plain("lost?"), problem: "Too late.", saving: false });
  assert.equal(refusing.seen("m1")?.body, "text 1");
});

test("another device's edit changes the message and not what stands in the editor", () => {
  const { timeline, changes, seen } = room({});
  changes.edit("m1", plain("text 1"));
  changes.write(plain("mine"));
  timeline.live(event("message.edited", 3, { ...message(1), body: "theirs", edited: 3 }));
  assert.deepEqual([seen("m1")?.body, changes.editing.value?.written.text], ["theirs", "mine"]);
});

test("a deletion is shown at once, is shown as it was where the server refuses, and is taken back", async () => {
  let answer: (left: Message) => void = () => undefined;
  const { changes, undo, seen } = room({
    deleteMessage: () => new Promise((resolve) => (answer = resolve)),
    restoreMessage: () => Promise.resolve(message(1)),
  });
  const deleting = changes.delete(message(1));
  assert.ok(seen("m1")?.deleted, "before the server has answered");
  answer(gone(message(1)));
  await deleting;
  await undo[0]?.undo();
  assert.deepEqual([seen("m1")?.deleted, seen("m1")?.body, undo.at(-1)], [undefined, "text 1", null]);

  const refusing = room({});
  await assert.rejects(refusing.changes.delete(message(1)));
  assert.deepEqual([refusing.seen("m1")?.deleted, refusing.undo.at(-1)], [undefined, null]);
});

test("an answer does not hide what an event has told meanwhile", async () => {
  let answer: (edited: Message) => void = () => undefined;
  const { timeline, changes, seen } = room({ editMessage: () => new Promise((resolve) => (answer = resolve)) });
  changes.edit("m1", plain("text 1"));
  changes.write(plain("other"));
  const saving = changes.save();
  timeline.live(event("message.edited", 3, { ...message(1), body: "other", edited: 3 }));
  timeline.live(event("message.deleted", 4, gone(message(1), BEN)));
  answer({ ...message(1), body: "other", edited: 3 });
  await saving;
  assert.ok(seen("m1")?.deleted);
});

test("what was read while it was deleted stands again when it is restored", () => {
  const { timeline, seen } = room({});
  timeline.page({ events: [event("message.posted", 1, gone(message(1)))], epoch: "epoch", offset: 3, more: false });
  assert.ok(seen("m1")?.deleted);
  const restored = event("message.restored", 4, message(1));
  timeline.live(event("message.deleted", 3, gone(message(1))));
  timeline.live(restored);
  const posted = timeline.at(1);
  assert.equal(posted && timeline.message(posted)?.deleted, undefined);
});

test("a deletion is taken back after the server has it, and not before", async () => {
  const asked: string[] = [];
  let answer: (message: Message) => void = () => undefined;
  const { changes, undo } = room({
    deleteMessage: () => {
      asked.push("delete");
      return new Promise((resolve) => (answer = resolve));
    },
    restoreMessage: () => {
      asked.push("restore");
      return Promise.resolve(message(1));
    },
  });
  const deleted = changes.delete(message(1));
  const restored = undo[0]?.undo();
  await Promise.resolve();
  assert.deepEqual(asked, ["delete"]);
  answer(gone(message(1)));
  await deleted;
  await restored;
  assert.deepEqual(asked, ["delete", "restore"]);
});

test("an editor has the focus when it is opened, and not again when its row is drawn anew", () => {
  const { changes } = room({});
  changes.edit("m1", plain("text 1"));
  assert.deepEqual([changes.takeFocus(), changes.takeFocus()], [true, false]);
  changes.edit("m1", plain("text 1"));
  assert.equal(changes.takeFocus(), false, "it is open already");
  changes.cancel();
  changes.edit("m1", plain("text 1"));
  assert.equal(changes.takeFocus(), true);
});
