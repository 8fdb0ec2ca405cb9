/** What counts as read: what somebody saw, without leaving anything out, however many devices say so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AT_REST_MS, READ_RETRY_MS, READ_SEND_EVERY_MS, SEEN_AFTER_MS } from "../src/limits.ts";
import { Attendance, InView } from "../src/models/attention.ts";
import { Reading, changesOfReading, type Told } from "../src/models/reading.ts";
import type { Block } from "../src/wire.ts";
import { ANA, BEN, World, settled } from "./world.ts";

/** Time that passes when a test says so. */
class Time {
  now = 0;
  private timers: { at: number; task: () => void }[] = [];

  readonly after = (delay: number, task: () => void): (() => void) => {
    const timer = { at: this.now + delay, task };
    this.timers.push(timer);
    return () => (this.timers = this.timers.filter((other) => other !== timer));
  };

  get waiting(): number {
    return this.timers.length;
  }

  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const [next] = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.timers = this.timers.filter((other) => other !== next);
      this.now = next.at;
      next.task();
    }
    this.now = end;
  }
}

/** A room in which others have said everything up to `last`, of which this device holds what comes from `first` on. */
class Desk {
  readonly time = new Time();
  readonly told: [number, boolean][] = [];
  last = 20;
  first = 1;
  answer: (number: number, unread: boolean) => Promise<Told> = (read) =>
    Promise.resolve({ id: "r", offset: this.last, read, unread: this.last - read, mentions: 0 });
  readonly reading: Reading;

  constructor(read: number, unread = 20 - read) {
    this.reading = new Reading(
      { read, unread, offset: this.last },
      {
        next: (after) => (after + 1 < this.first ? undefined : after < this.last ? after + 1 : null),
        last: () => this.last,
        send: (number, back) => {
          this.told.push([number, back]);
          return this.answer(number, back);
        },
        now: () => this.time.now,
        after: this.time.after,
      },
    );
  }

  see(...numbers: number[]): this {
    for (const number of numbers) this.reading.saw(number);
    return this;
  }

  get read(): number {
    return this.reading.number.value;
  }
}

test("a message is seen once it was in view for a moment, before somebody who is there", () => {
  const time = new Time();
  const seen: number[] = [];
  const view = new InView(time.after, (number) => seen.push(number));
  view.changed([1, 2, 3], []);
  time.pass(10 * SEEN_AFTER_MS);
  assert.deepEqual(seen, [], "nobody is there");
  view.attend(true);
  time.pass(SEEN_AFTER_MS - 1);
  view.changed([4], [1]);
  assert.deepEqual(seen, []);
  time.pass(1);
  assert.deepEqual(seen, [2, 3], "what went too early was not seen");
  view.attend(false);
  time.pass(SEEN_AFTER_MS);
  assert.deepEqual(seen, [2, 3], "nor what they looked away from");
  view.attend(true);
  time.pass(SEEN_AFTER_MS - 1);
  view.changed([], [4]);
  view.changed([4], []);
  time.pass(1);
  assert.deepEqual(seen, [2, 3, 2, 3], "what went and came begins again");
  time.pass(SEEN_AFTER_MS);
  assert.deepEqual(seen, [2, 3, 2, 3, 4]);
});

test("somebody is there in a window that has the focus, until they have not moved for long", () => {
  const time = new Time();
  const attendance = new Attendance(() => time.now, time.after);
  assert.equal(attendance.present.value, false);
  attendance.looks(true);
  assert.equal(attendance.present.value, true, "they have just brought it to the front");
  time.pass(AT_REST_MS - 1);
  attendance.acted();
  time.pass(AT_REST_MS - 1);
  assert.equal(attendance.present.value, true);
  time.pass(1);
  assert.equal(attendance.present.value, false, "nobody moves any more");
  attendance.acted();
  assert.equal(attendance.present.value, true);
  attendance.looks(false);
  assert.equal(attendance.present.value, false);
  attendance.acted();
  assert.equal(attendance.present.value, false, "a pointer over a window in the background is nobody who looks");
  time.pass(2 * AT_REST_MS);
  attendance.looks(true);
  assert.equal(attendance.present.value, true);
});

test("what was read goes forward without leaving anything out", () => {
  const desk = new Desk(5);
  assert.equal(desk.see(8, 9).read, 5, "6 and 7 were never in view");
  assert.equal(desk.see(6).read, 6);
  assert.equal(desk.see(7).read, 9);
  assert.equal(desk.see(3).read, 9);
});

test("whoever goes to the end is done with what lies between, and whoever is led elsewhere is not", () => {
  const desk = new Desk(5);
  assert.equal(desk.see(15).read, 5, "as by a link");
  desk.reading.pass();
  assert.equal(desk.read, 5, "not before they have seen something there");
  assert.equal(desk.see(18, 19, 20).read, 20);

  const far = new Desk(5);
  far.first = 12;
  assert.equal(far.see(12).read, 5, "what is not here is not known");
  far.reading.pass();
  assert.equal(far.see(18, 19, 20).read, 20);
});

test("what comes while somebody watches the end passes before their eyes; what came while they were away does not", () => {
  const desk = new Desk(20);
  desk.reading.watch(true);
  for (let n = 0; n < 50; n++) {
    desk.last += 1;
    desk.reading.watch(true);
  }
  assert.equal(desk.see(69, 70).read, 70, "too fast for each to be looked at");

  desk.reading.watch(false);
  desk.last += 50;
  desk.reading.watch(true);
  assert.equal(desk.see(119, 120).read, 70, "back, they see the end and not what is above");
  desk.last += 1;
  desk.reading.watch(true);
  assert.equal(desk.see(121).read, 70, "nor do they when something more comes");
  for (let n = 71; n < 119; n++) desk.see(n);
  assert.equal(desk.read, 121);
});

test("the server is told at once, then once in a while, and of the last position only", async () => {
  const desk = new Desk(0);
  desk.see(1);
  assert.deepEqual(desk.told, [[1, false]]);
  for (const number of [2, 3, 4]) {
    desk.see(number);
    await settled();
  }
  assert.equal(desk.told.length, 1);
  desk.time.pass(READ_SEND_EVERY_MS);
  assert.deepEqual(desk.told, [[1, false], [4, false]]);
  await settled();
  desk.see(5);
  desk.reading.send();
  assert.deepEqual(desk.told.at(-1), [5, false], "at once when the window is left");
});

test("what could not be told is told later, and what is refused is not", async () => {
  const desk = new Desk(0);
  desk.answer = () => Promise.resolve("later");
  desk.see(1);
  await settled();
  desk.time.pass(READ_RETRY_MS - 1);
  assert.equal(desk.told.length, 1);
  desk.time.pass(1);
  await settled();
  assert.equal(desk.told.length, 2);
  desk.answer = () => Promise.resolve("never");
  desk.time.pass(READ_RETRY_MS);
  await settled();
  desk.time.pass(10 * READ_RETRY_MS);
  assert.equal(desk.told.length, 3);
  desk.see(2);
  assert.deepEqual(desk.reading.takeUnsent(), null, "that is on its way");
});

test("nothing is told, nor put off, once it is closed", async () => {
  for (const answer of ["later", "never"] as const) {
    const desk = new Desk(0);
    desk.answer = () => Promise.resolve(answer);
    desk.see(1);
    desk.see(2);
    desk.reading.close();
    await settled();
    desk.see(3);
    assert.equal(desk.time.waiting, 0, answer);
    desk.time.pass(10 * READ_RETRY_MS);
    assert.deepEqual(desk.told, [[1, false]], answer);
  }
});

test("what another device says is taken over, but not behind what was seen here and is not told yet", async () => {
  const desk = new Desk(5);
  const told = (read: number): void => desk.reading.told({ offset: 20, read, unread: 20 - read, mentions: 0 });
  told(9);
  assert.deepEqual([desk.read, desk.reading.counted.value.unread], [9, 11]);
  told(7);
  assert.equal(desk.read, 7, "they want to read it again");
  assert.equal(desk.see(8, 9).read, 7, "what is in view here does not count any more");
  desk.reading.open();
  assert.equal(desk.see(8, 9).read, 9, "until it is opened anew");
  told(8);
  assert.equal(desk.read, 9, "on its way");
  await settled();
  const asked = changesOfReading();
  desk.see(10);
  await settled();
  desk.time.pass(READ_SEND_EVERY_MS);
  await settled();
  desk.reading.listed({ read: 9, unread: 11, offset: 20 }, asked);
  assert.equal(desk.read, 10, "a list that was asked for before says less");
  desk.reading.listed({ read: 4, unread: 16, offset: 20 }, changesOfReading());
  assert.equal(desk.read, 4);
});

test("what is to be read again stays so, whatever is in view, until the room is opened anew", async () => {
  const desk = new Desk(20);
  desk.reading.watch(true);
  desk.reading.back(12);
  assert.deepEqual([desk.read, desk.told], [12, [[12, true]]]);
  desk.reading.watch(true);
  desk.reading.pass();
  assert.equal(desk.see(13, 14, 20).read, 12);
  await settled();
  desk.reading.open();
  assert.equal(desk.see(13, 14).read, 14);
});

test("what was to be read again and is read after all is new no longer, and what comes then is read as ever", async () => {
  const desk = new Desk(20);
  desk.reading.back(12);
  await settled();
  desk.reading.told({ offset: 20, read: 20, unread: 0, mentions: 0 });
  assert.equal(desk.read, 20, "another device read on, or all was marked as read");
  desk.last = 22;
  assert.equal(desk.see(21, 22).read, 22);
});

test("all is read also while the server hears that something is to be read again, and it hears of that last", async () => {
  const desk = new Desk(20);
  let answer = (): void => undefined;
  desk.answer = (read) => new Promise((resolve) => (answer = () => resolve({ id: "r", offset: 20, read, unread: 20 - read, mentions: 0 })));
  desk.reading.back(12);
  desk.reading.all();
  assert.deepEqual([desk.read, desk.reading.counted.value.unread, desk.told], [20, 0, [[12, true]]]);
  desk.reading.told({ offset: 20, read: 12, unread: 8, mentions: 0 });
  answer();
  await settled();
  desk.time.pass(READ_SEND_EVERY_MS);
  answer();
  await settled();
  assert.deepEqual([desk.read, desk.told], [20, [[12, true], [20, false]]]);
  desk.last = 21;
  assert.equal(desk.see(21).read, 21);

  const idle = new Desk(12);
  idle.reading.all();
  assert.deepEqual([idle.read, idle.told], [12, []], "the rest is for the server to say");
});

test("what is not here is counted by the server, and what comes by the page", async () => {
  const world = new World({ events: 150, lastRead: 30 });
  world.connect();
  assert.deepEqual(world.room.unread.value, { count: 100, more: true }, "so many or more");
  world.read = 148;
  world.room.reading.told(world.reading());
  assert.deepEqual(world.room.unread.value, { count: 2, more: false });
  world.server.post(BEN, "one more");
  world.server.post(ANA, "mine");
  assert.deepEqual(world.room.unread.value, { count: 3, more: false });
  world.server.delete("m149");
  assert.deepEqual(world.room.unread.value, { count: 2, more: false }, "it was counted, and is not here");
  world.server.delete("m3");
  assert.deepEqual(world.room.unread.value, { count: 2, more: false }, "it was not");
  world.room.enter();
  await settled();
  assert.deepEqual(world.room.unread.value, { count: 2, more: false }, "now all of it is here");
  assert.deepEqual([world.room.newAfter.value, world.room.opening.value], [148, true]);
});

test("a room with much that is new opens there without reading all of it", async () => {
  const world = new World({ events: 3_000, lastRead: 500 });
  world.connect();
  world.room.enter();
  await settled();
  assert.ok(world.room.timeline.at(501) && world.room.timeline.at(495), "with what came before it");
  assert.equal(world.room.behind.value, true);
  assert.equal(world.asked.length, 1);
});

test("the line stays until its first message was seen, and is then where one looked away", () => {
  const world = new World({ events: 3 });
  world.connect();
  const { room, server } = world;
  room.enter();
  room.lookAway();
  server.post(BEN, "one");
  server.post(BEN, "two");
  room.lookBack();
  assert.equal(room.newAfter.value, 3);
  room.lookAway();
  server.post(BEN, "three");
  assert.equal(room.newAfter.value, 3, "not seen yet");
  room.lookBack();
  for (const number of [4, 5]) room.reading.saw(number);
  assert.equal(room.newAfter.value, 3, "it does not go from under the reader");
  room.lookAway();
  assert.equal(room.newAfter.value, 5, "the next one is new");
  room.lookBack();
  room.reading.saw(6);
  room.lookAway();
  room.lookBack();
  assert.equal(room.newAfter.value, null, "nothing is");
});

test("mentions that wait are counted as they come, and go with reading and deleting", async () => {
  const world = new World({ events: 3 });
  world.connect();
  await settled();
  const mention = (mark: object): { content: Block[] } => ({ content: [{ type: "p", content: [{ type: "mention", text: "@", ...mark }] }] });
  const mine = world.server.post(BEN, "x", mention({ person: ANA.id }));
  world.server.post(BEN, "x", mention({ person: "somebody else" }));
  world.server.post(ANA, "x", mention({ everybody: "room" }));
  const last = world.server.post(BEN, "x", mention({ everybody: "here" }));
  assert.equal(world.room.mentioned.value, 2, "by name, and with those who listen; not by oneself");
  assert.equal(world.concerned, 3);
  world.server.delete(mine.message!.id);
  assert.equal(world.room.mentioned.value, 1);
  world.room.reading.told({ offset: last.number, read: last.number, unread: 0, mentions: 0 });
  assert.equal(world.room.mentioned.value, 0);
});
