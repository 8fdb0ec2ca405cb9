/** Threads: what is told of them under their message, what stands in one that is open, and those that somebody follows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { signal } from "@preact/signals";
import { Changes } from "../src/models/changes.ts";
import { isInRoom, replied } from "../src/models/replies.ts";
import { rows } from "../src/models/rows.ts";
import { Thread } from "../src/models/thread.ts";
import { Threads } from "../src/models/threads.ts";
import { Timeline } from "../src/models/timeline.ts";
import type { Message, RoomEvent, ThreadCard, ThreadPage, ThreadReading, ThreadsPage } from "../src/wire.ts";
import { ANA, BEN, NO_CHANGES, settled, World } from "./world.ts";

const ROOT = "m1";

function message(number: number, author = BEN, more: Partial<Message> = {}): Message {
  return { id: `m${number}`, room: "room-1", number, client_id: `c${number}`, author, body: `number ${number}`, time: number * 1_000, ...more };
}

function posted(said: Message): RoomEvent {
  return { type: "message.posted", number: said.number, time: said.time, message: said };
}

const answer = (number: number, author = BEN, more: Partial<Message> = {}): RoomEvent => posted(message(number, author, { thread: ROOT, ...more }));
const gone = (number: number, of: RoomEvent): RoomEvent => ({ type: "message.deleted", number, time: 1, message: { ...of.message!, body: "", deleted: { time: 1, by: BEN } } });

test("what stands in a thread is counted once, in whatever order a page and what is live come", () => {
  const first = answer(2);
  const events = [posted(message(1, ANA)), first, answer(3, ANA), answer(4), gone(5, first)];
  const read = { ...message(1, ANA), replies: { count: 2, last: { id: "m3", number: 3, time: 3_000 }, people: [ANA, BEN] } };
  const page = { events: [posted(read), ...events.slice(1, 3)], epoch: "e", offset: 3, more: false };
  const told = (timeline: Timeline) => [timeline.replies(ROOT)?.count, timeline.replies(ROOT)?.people.map((person) => person.name)];
  for (const order of ["page first", "live first", "twice"]) {
    const timeline = new Timeline(ANA.id);
    timeline.subscribed(3, "e");
    const live = (): void => events.slice(3).forEach((event) => void timeline.live(event));
    if (order === "live first") live();
    timeline.page(page);
    if (order !== "live first") live();
    if (order === "twice") live();
    assert.deepEqual(told(timeline), [2, ["Ben", "Ana"]], order);
    assert.deepEqual(timeline.takeDoubted(), [ROOT], "who is left is to be asked for");
    assert.deepEqual(timeline.takeDoubted(), [], "once");
    timeline.read({ ...message(1, ANA), replies: { count: 9, last: { id: "m4", number: 4, time: 1 }, people: [BEN] } }, 5);
    assert.deepEqual(told(timeline), [9, ["Ben"]]);
  }
});

test("so many replies are so many or more, and none is nothing", () => {
  const some = replied(null, "message.posted", message(2));
  assert.equal(some?.count, 1);
  assert.equal(replied(some, "message.deleted", message(2)), null);
  const many = { count: 1_000, last: { id: "m9", number: 9, time: 1 }, people: [ANA] };
  assert.equal(replied(many, "message.posted", message(10))?.count, 1_000);
  assert.equal(isInRoom(message(2)) && isInRoom(message(2, BEN, { thread: ROOT, also_in_room: true })), true);
  assert.equal(isInRoom(message(2, BEN, { thread: ROOT })), false);
});

test("a reply in a thread is neither shown nor unread in the room, unless it was sent there too", async () => {
  const world = new World({ lastRead: 0 });
  world.connect();
  const say = (more: Partial<Message>): void => {
    const { number, message: said } = world.server.post(BEN, "besides");
    Object.assign(world.server.bodies.get(said!.id)!, more);
    world.deliver({ type: "message.posted", number, time: 1, message: { ...said!, ...more } });
  };
  world.server.announce = () => undefined;
  say({ body: "hello" });
  say({ thread: ROOT, body: "in the thread" });
  say({ thread: ROOT, also_in_room: true, body: "in both" });
  await settled();
  assert.deepEqual(world.texts(), ["hello", "in both"]);
  assert.equal(world.room.unread.value.count, 2);
  assert.equal(world.rows()[0]?.replies?.count, 2);
  world.room.reading.saw(1);
  assert.equal(world.room.reading.number.value, 2, "what stands in a thread alone is passed over");
  assert.equal(world.room.changes.last(), null);
});

/** A thread on a server, and one person's page of it. */
function open(events: RoomEvent[], reading: Partial<ThreadReading> = {}) {
  const timeline = new Timeline(ANA.id);
  timeline.subscribed(events.at(-1)?.number ?? 1, "e");
  const where: ThreadReading = { id: ROOT, room: "room-1", offset: 0, following: true, read: 1, unread: 0, ...reading };
  const asked: (number | undefined)[] = [];
  const told: number[] = [];
  let timers: (() => void)[] = [];
  const state = { failing: false };
  const room = { id: "room-1", timeline, changed: () => undefined };
  const thread = new Thread(room, ROOT, {
    me: ANA,
    api: {
      thread: (_room, _root, before, limit): Promise<ThreadPage> => {
        asked.push(before);
        if (state.failing) return Promise.reject(new Error("offline"));
        const answers = events.slice(1).filter((event) => before === undefined || event.number < before);
        const page = answers.slice(-limit).map((event) => event.message!);
        const offset = events.at(-1)?.number ?? 1;
        return Promise.resolve({ root: events[0]!.message!, messages: page, more: answers.length > limit, epoch: "e", reading: { ...where, offset } });
      },
      followThread: (_room, _root, follows) => Promise.resolve({ ...where, following: follows }),
    },
    live: {
      readThread: (_room, _root, number) => {
        told.push(number);
        return Promise.resolve({ ...where, read: number });
      },
    },
    after: (_delay, task) => {
      timers.push(task);
      return () => (timers = timers.filter((other) => other !== task));
    },
    changes: (last) => new Changes(room, { me: ANA, api: NO_CHANGES, undoable: () => undefined, manages: signal(false) }, last),
    changed: () => undefined,
    told: () => undefined,
  });
  const numbers = (): number[] => thread.events.map((event) => event.number);
  return { thread, timeline, asked, told, numbers, state, pass: () => timers.splice(0).forEach((task) => task()) };
}

test("an open thread has its answers in order, from pages and from what the room tells, each once", async () => {
  const events = [posted(message(1, ANA)), ...Array.from({ length: 120 }, (_, at) => answer(at + 2))];
  const { thread, timeline, asked, numbers } = open(events);
  thread.heard(answer(200));
  await settled();
  assert.deepEqual([numbers().length, numbers()[0], thread.hasOlder.value], [51, 72, true]);
  await thread.loadOlder();
  assert.deepEqual([numbers().length, numbers()[0]], [101, 22]);
  thread.heard(answer(150));
  thread.heard(answer(150));
  thread.heard(posted(message(151, BEN)));
  thread.heard(answer(3));
  assert.deepEqual(numbers().slice(-3), [121, 150, 200], "what is further up comes with its page");
  await thread.goTo(5);
  assert.deepEqual([numbers()[0], thread.hasOlder.value, thread.target.value, asked], [2, false, 5, [undefined, 72, 22]]);
  // The room's timeline knows what they say now, also those that are in none of its events.
  timeline.live({ type: "message.edited", number: 122, time: 1, message: { ...message(10), thread: ROOT, body: "edited" } });
  const shown = rows({ timeline, from: 0, to: Infinity, unsent: [], me: ANA, newAfter: null, thread: thread.events, within: "thread-" });
  assert.equal(shown.filter((row) => row.kind === "message").find((row) => row.number === 10)?.body, "edited");
  assert.equal(shown.every((row) => row.key.startsWith("thread-")), true);
});

test("an open thread is read anew where the room has missed too much, and joins what was there or begins anew", async () => {
  const events = [posted(message(1, ANA)), answer(2), answer(3)];
  const { thread, numbers, state, pass, asked } = open(events);
  await settled();
  events.push(answer(900));
  state.failing = true;
  void thread.load();
  await settled();
  assert.deepEqual(numbers(), [2, 3]);
  state.failing = false;
  pass();
  await settled();
  assert.deepEqual([numbers(), asked.length], [[2, 3, 900], 3]);
  events.push(...Array.from({ length: 60 }, (_, at) => answer(1_000 + at)));
  void thread.load();
  await settled();
  assert.deepEqual([numbers()[0], numbers().length, thread.hasOlder.value], [1_010, 50, true], "what lies between is read as one goes up");
});

test("a thread is read by what was seen, and one that is not followed tells nobody", async () => {
  const events = [posted(message(1, ANA)), answer(2), answer(3, ANA), answer(4)];
  const followed = open(events, { read: 1, unread: 2 });
  await settled();
  const { thread } = followed;
  assert.deepEqual([thread.unread.value, thread.newAfter.value], [2, 1]);
  thread.reading.saw(4);
  assert.equal(thread.reading.number.value, 1, "nothing is left out");
  thread.reading.saw(2);
  await settled();
  assert.deepEqual([thread.reading.number.value, thread.unread.value, followed.told], [4, 0, [4]]);
  thread.markUnread(3);
  assert.deepEqual([thread.unread.value, thread.newAfter.value], [1, 3]);
  const other = open(events, { following: false, read: 4 });
  await settled();
  other.thread.heard(answer(5));
  other.thread.reading.saw(5);
  await settled();
  assert.deepEqual(other.told, []);
  await other.thread.follow(true);
  assert.equal(other.thread.following.value, true);
});

/** The threads that Ana follows, as a server has them. */
function followed(cards: ThreadCard[]) {
  const asked: (string | undefined)[] = [];
  let timers: (() => void)[] = [];
  const server = { cards, more: false };
  const threads = new Threads({
    me: ANA,
    api: {
      threads: (before): Promise<ThreadsPage> => {
        asked.push(before);
        const from = before === undefined ? 0 : server.cards.findIndex((card) => card.replies.last.id === before) + 1;
        const page = server.cards.slice(from, from + 2);
        const unread = server.cards.filter((card) => card.unread > 0).length;
        return Promise.resolve({ threads: page, more: from + 2 < server.cards.length, unread });
      },
    },
    after: (_delay, task) => {
      timers.push(task);
      return () => (timers = timers.filter((other) => other !== task));
    },
  });
  const ids = (): string[] => threads.list.value.map((card) => card.id);
  return { threads, asked, ids, server, pass: () => timers.splice(0).forEach((task) => task()), waiting: () => timers.length };
}

function card(root: string, last: number, unread = 0): ThreadCard {
  const text = "how it begins";
  return {
    id: root, room: "room-1", offset: last, following: true, read: last - unread, unread,
    root: { id: root, number: 1, author: ANA, text },
    replies: { count: 1, last: { id: `m${last}`, number: last, time: last }, people: [BEN] },
    last: { id: `m${last}`, number: last, author: BEN, text },
  };
}

test("those that one follows come in the order of their answers, and what is new in them is counted", async () => {
  const { threads, ids, server, pass, asked, waiting } = followed([card("m10", 30), card(ROOT, 20, 1), card("m5", 15, 1)]);
  await threads.refresh();
  assert.deepEqual([ids(), threads.unread.value], [["m10", ROOT], 2], "one of them further down");
  threads.heard(answer(31));
  assert.deepEqual([ids(), threads.list.value[0]?.unread, threads.list.value[0]?.last.text, threads.unread.value], [[ROOT, "m10"], 2, "number 31", 2]);
  threads.heard(answer(31));
  assert.equal(threads.list.value[0]?.unread, 2, "once");
  threads.heard(answer(32, ANA));
  assert.equal(threads.list.value[0].unread, 2, "one's own is not new");
  assert.equal(waiting(), 0);
  // On another device it was read, and another thread was given up.
  const { following, room, id, offset } = threads.list.value[0];
  threads.told({ type: "thread.read", thread: { id, room, following, offset, read: 32, unread: 0 } });
  assert.deepEqual([threads.list.value[0].unread, threads.unread.value], [0, 1]);
  threads.told({ type: "thread.followed", thread: { ...card("m10", 30), following: false } });
  assert.deepEqual(ids(), [ROOT]);
  // One that is not here, and is followed from now on: asked for, once for all that happens together.
  server.cards = [card("m40", 41, 1), card(ROOT, 32), card("m5", 15, 1)];
  threads.told({ type: "thread.followed", thread: card("m40", 41, 1) });
  threads.heard(gone(42, answer(31)));
  assert.equal(waiting(), 1);
  pass();
  await settled();
  assert.deepEqual([ids(), asked.length], [["m40", ROOT], 2]);
  await threads.loadMore();
  assert.deepEqual([ids(), threads.unread.value, threads.more.value], [["m40", ROOT, "m5"], 2, false]);
  threads.allRead();
  assert.equal(threads.unread.value, 0);
});
