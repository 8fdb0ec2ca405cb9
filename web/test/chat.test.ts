/** The list of rooms: what was asked for stays, however often it is asked for again, and nothing goes on after the end. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { ApiError, type Api } from "../src/api.ts";
import { Chat } from "../src/models/chat.ts";
import { Settings } from "../src/models/settings.ts";
import type { RoomInfo, RoomsPage } from "../src/wire.ts";
import { MemoryStore, settled } from "./world.ts";

const PAGE = 3;

/** What there is of a browser. */
beforeEach(() => void Object.assign(globalThis, { removeEventListener: () => undefined }));

const info = (name: string): RoomInfo => ({ id: `id-${name}`, name, topic: null, member: false, members: 1, offset: 0, epoch: "first", created: 0 });

/** A server with many rooms, of which Ana is in none; and her page, which never connects. */
class Desk {
  names = ["Art", "boats", "Cats", "dogs", "Eels", "fish", "Goats", "Ärger"];
  signal: AbortSignal | undefined;
  answer: (page: RoomsPage) => Promise<RoomsPage> = (page) => Promise.resolve(page);
  readonly chat: Chat;

  constructor() {
    const api = {
      rooms: (after: string | undefined, signal: AbortSignal | undefined) => {
        if (signal) this.signal = signal;
        const start = after ? this.names.findIndex((name) => `id-${name}` === after) + 1 : 0;
        return this.answer({ rooms: this.names.slice(start, start + PAGE).map(info), more: this.names.length > start + PAGE });
      },
      room: (id: string) => Promise.resolve(info(id.slice(3))),
    } as unknown as Api;
    this.chat = new Chat({
      me: { id: "ana", name: "Ana", email: "ana@example.org", role: "member" },
      api,
      websocketUrl: "ws://127.0.0.1:9/none",
      version: "test",
      store: new MemoryStore(),
      settings: new Settings("ana", null),
      doubt: () => undefined,
    });
  }

  get known(): string[] {
    return this.chat.known.value.map((room) => room.name);
  }
}

test("rooms that were asked for stay known when the list is asked for again", async () => {
  const desk = new Desk();
  await desk.chat.refreshRooms();
  assert.deepEqual([desk.known, desk.chat.moreAfter.value], [["Art", "boats", "Cats"], "id-Cats"]);
  await desk.chat.knowMore();
  await desk.chat.lookFor("id-Goats");
  const before = [["Art", "boats", "Cats", "dogs", "Eels", "fish", "Goats"], "id-fish"];
  assert.deepEqual([desk.known, desk.chat.moreAfter.value], before);
  await desk.chat.refreshRooms();
  assert.deepEqual([desk.known, desk.chat.moreAfter.value], before);
  await desk.chat.knowMore();
  await desk.chat.refreshRooms();
  assert.deepEqual([new Set(desk.known), desk.chat.moreAfter.value], [new Set(desk.names), null], "all are known");
});

test("what is gone from the first page is gone, and what came up is found by going through the pages again", async () => {
  const desk = new Desk();
  await desk.chat.refreshRooms();
  await desk.chat.knowMore();
  desk.names = ["Art", "Cats", "dogs", "Eels", "elks", "fish", "Goats", "Ärger"];
  await desk.chat.refreshRooms();
  assert.deepEqual(desk.known, ["Art", "Cats", "dogs", "Eels", "fish"]);
  await desk.chat.browse();
  assert.equal(desk.chat.moreAfter.value, "id-dogs");
  await desk.chat.knowMore();
  assert.ok(desk.known.includes("elks"));
});

test("closing the chat gives up what is under way and leaves nothing to come", async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  for (const outcome of ["answered", "failed"]) {
    const desk = new Desk();
    let end = (): void => undefined;
    desk.answer = (page) =>
      new Promise((resolve, reject) => (end = outcome === "failed" ? () => reject(new ApiError(0, "unreachable", "")) : () => resolve(page)));
    const reading = desk.chat.refreshRooms();
    desk.chat.say("something");
    void desk.chat.refreshRooms();
    desk.chat.close();
    desk.chat.say("something more");
    desk.chat.tell("too late");
    assert.equal(desk.signal?.aborted, true);
    end();
    await reading;
    await settled();
    assert.deepEqual([desk.known, desk.chat.ready.value, timers()], [[], false, before], outcome);
  }
});

test("a room that is archived or blank is in the list while something waits there, and what is counted is what is shown", () => {
  // The page's frames: at once.
  Object.assign(globalThis, { document: { visibilityState: "visible" }, requestAnimationFrame: (task: () => void) => { task(); } });
  const { chat } = new Desk();
  const member = (name: string, more: Partial<RoomInfo> = {}): RoomInfo => ({ ...info(name), member: true, ...more });
  const archived = { archived: 1 };
  const blank: Partial<RoomInfo> = { kind: "direct", people: [{ id: "ben", name: "Ben" }] };
  for (const room of [member("Old", archived), member("News", { ...archived, read: 0, unread: 2, offset: 2 }), member("Plans"), member("Ben", blank)]) chat.adopt(room);
  const listed = (): string[] => chat.shown.value.map((room) => room.info.value.name);
  assert.deepEqual([listed(), chat.unreadTotal.value, chat.unreadElsewhere.value], [["News", "Plans"], 2, true]);
  chat.find("id-Ben")!.draft.value = "dear";
  assert.deepEqual(listed(), ["News", "Plans", "Ben"]);
  const { client_id: unsent } = chat.outbox.add("id-Old", "last words", 1);
  assert.deepEqual(listed(), ["News", "Old", "Plans", "Ben"]);
  chat.outbox.delete(unsent);
  chat.find("id-Ben")!.draft.value = "";
  chat.find("id-News")!.reading.told({ offset: 2, read: 2, unread: 0, mentions: 0 });
  assert.deepEqual([listed(), chat.unreadTotal.value, chat.unreadElsewhere.value], [["Plans"], 0, false]);
  chat.open.value = "id-Old";
  assert.deepEqual(listed(), ["Old", "Plans"]);
  chat.close();
});
