import assert from "node:assert/strict";
import { test } from "node:test";
import { GROUPING_MS, WINDOW_EVENTS_MAX } from "../src/limits.ts";
import { rows, sameRow, type Row } from "../src/models/rows.ts";
import { Timeline } from "../src/models/timeline.ts";
import { atEnd, grown, newer, older } from "../src/models/window.ts";
import type { RoomEvent } from "../src/wire.ts";
import { ANA, BEN, ServerRoom } from "./world.ts";

const NOON = new Date(2026, 10, 20, 12).getTime();
const DAY = 86_400_000;

function shown(fill: (server: ServerRoom) => void, newAfter: number | null = null): Row[] {
  const server = new ServerRoom();
  fill(server);
  const timeline = new Timeline();
  timeline.page(server.page({}, 500));
  return rows({ timeline, from: 1, to: Infinity, unsent: [], me: ANA, newAfter });
}

const words = (list: Row[]): string[] =>
  list.map((row) => (row.kind === "message" ? `${row.head ? `${row.author.name}: ` : ""}${row.body}` : row.kind));

test("consecutive messages of one author within five minutes share a header", () => {
  const list = shown((server) => {
    server.post(ANA, "a", { time: NOON });
    server.post(ANA, "b", { time: NOON + GROUPING_MS - 1 });
    server.post(ANA, "c", { time: NOON + 2 * GROUPING_MS });
    server.post(BEN, "d", { time: NOON + 2 * GROUPING_MS + 1 });
    server.post(ANA, "e", { time: NOON + 2 * GROUPING_MS + 2 });
  });
  assert.deepEqual(words(list), ["day", "Ana: a", "b", "Ana: c", "Ben: d", "Ana: e"]);
});

test("a long burst has a new header every few minutes, measured from the one before", () => {
  const list = shown((server) => {
    for (let n = 0; n < 12; n++) server.post(ANA, `${n}`, { time: NOON + (n * GROUPING_MS) / 4 });
  });
  assert.deepEqual(list.flatMap((row) => (row.kind === "message" ? [row.head] : [])), Array.from({ length: 12 }, (_, n) => n % 4 === 0));
});

test("the line before what is new stands before the first message that stands", () => {
  const list = shown((server) => {
    for (const text of ["old", "a slip", "what stands"]) server.post(BEN, text);
    server.delete("m2");
  }, 1);
  assert.equal(list.findIndex((row) => row.kind === "new"), list.findIndex((row) => row.kind === "message" && row.body === "what stands") - 1);
});

test("each day opens with a separator, and a message after it has its header", () => {
  const list = shown((server) => {
    server.post(ANA, "yesterday", { time: NOON - DAY });
    server.post(ANA, "today", { time: NOON });
  });
  assert.deepEqual(words(list), ["day", "Ana: yesterday", "day", "Ana: today"]);
});

test("the line before what is new stands once, before the first message of somebody else", () => {
  const list = shown((server) => {
    server.post(BEN, "read", { time: NOON });
    server.post(ANA, "mine", { time: NOON + 1 });
    server.post(BEN, "new", { time: NOON + 2 });
    server.post(BEN, "newer", { time: NOON + 3 });
  }, 1);
  assert.deepEqual(words(list), ["day", "Ben: read", "Ana: mine", "new", "Ben: new", "newer"]);
});

test("who joined in a row stands on one quiet line", () => {
  const joined = (number: number, id: string): RoomEvent => ({ type: "member.joined", number, time: NOON, member: { id, name: id } });
  const timeline = new Timeline();
  timeline.page({ events: [joined(1, "a"), joined(2, "b"), joined(3, "b")], epoch: "e", offset: 3, more: false });
  const list = rows({ timeline, from: 1, to: Infinity, unsent: [], me: ANA, newAfter: null });
  const note = list[1];
  assert.equal(list.length, 2);
  assert.deepEqual(note?.kind === "note" && note.people.map((person) => person.id), ["a", "b"]);
});

test("a row is drawn again when its person turns out to share a name", () => {
  const server = new ServerRoom();
  server.post(ANA, "hi", { time: NOON });
  const timeline = new Timeline();
  timeline.page(server.page({}, 50));
  const [message] = rows({ timeline, from: 1, to: Infinity, unsent: [], me: ANA, newAfter: null }).filter((row) => row.kind === "message");
  assert.equal(sameRow(message!, { ...message!, author: { ...ANA } }), true);
  assert.equal(sameRow(message!, { ...message!, author: { ...ANA, same_name: true } }), false);
  const note: Row = { kind: "note", key: "n-1", note: "joined", people: [ANA], by: null, time: NOON, number: 1 };
  assert.equal(sameRow(note, { ...note, people: [{ ...ANA }] }), true);
  assert.equal(sameRow(note, { ...note, people: [{ ...ANA, same_name: true }] }), false);
});

test("what is unsent stands at the end, and an old failure opens no day of its own", () => {
  const server = new ServerRoom();
  server.post(BEN, "today", { time: NOON });
  const timeline = new Timeline();
  timeline.page(server.page({}, 50));
  const unsent = { client_id: "x", person: ANA.id, room: server.id, body: "late", created: NOON - DAY, attempted: true, failure: "refused" as const, posted: null };
  const list = rows({ timeline, from: 1, to: Infinity, unsent: [unsent], me: ANA, newAfter: null });
  assert.deepEqual(words(list), ["day", "Ben: today", "Ana: late"]);
  const last = list.at(-1);
  assert.equal(last?.kind === "message" && last.state, "failed");
});

test("a message keeps its key when it is committed, so that its element stays in place", () => {
  const server = new ServerRoom();
  const timeline = new Timeline();
  timeline.page(server.page({}, 50));
  const unsent = { client_id: "x", person: ANA.id, room: server.id, body: "hi", created: NOON, attempted: true, failure: null, posted: null };
  const pending = rows({ timeline, from: 1, to: Infinity, unsent: [unsent], me: ANA, newAfter: null }).at(-1)!;
  timeline.live(server.post(ANA, "hi", { clientId: "x", time: NOON }));
  const sent = rows({ timeline, from: 1, to: Infinity, unsent: [], me: ANA, newAfter: null }).at(-1)!;
  assert.equal(pending.key, sent.key);
  assert.equal(sameRow(pending, sent), false);
  assert.equal(sameRow(sent, { ...sent }), true);
});

test("the page holds at most so many rows, whichever way the reader goes", () => {
  const last = 5_000;
  let range = atEnd(last);
  const size = (): number => Math.min(range.to, last) - range.from + 1;
  for (let i = 0; i < 200; i++) {
    range = older(range, 1, last);
    assert.ok(size() <= WINDOW_EVENTS_MAX);
  }
  assert.equal(range.from, 1);
  for (let i = 0; i < 200; i++) {
    range = newer(range, last);
    assert.ok(size() <= WINDOW_EVENTS_MAX);
  }
  assert.equal(range.to, Infinity);
});

test("a reader who follows keeps the end; for one who is further up nothing in view moves", () => {
  const long = { from: 1, to: Infinity };
  assert.equal(grown(long, 300, true), long);
  assert.equal(grown(long, 301, true).to, Infinity);
  assert.ok(301 - grown(long, 301, true).from < WINDOW_EVENTS_MAX);
  assert.deepEqual(grown(long, 301, false), { from: 1, to: 300 });
  assert.deepEqual(grown({ from: 1, to: 300 }, 900, false), { from: 1, to: 300 });
});
