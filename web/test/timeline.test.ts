import assert from "node:assert/strict";
import { test } from "node:test";
import { Timeline } from "../src/models/timeline.ts";
import { BEN, ServerRoom, seeded } from "./world.ts";

function roomWith(events: number): ServerRoom {
  const server = new ServerRoom();
  for (let i = 1; i <= events; i++) server.post(BEN, `text ${i}`);
  return server;
}

const numbers = (timeline: Timeline): number[] => timeline.events.map((event) => event.number);

test("an event beyond the next one waits until what lies between was read", () => {
  const server = roomWith(10);
  const timeline = new Timeline();
  timeline.subscribed(4, "first");
  timeline.live(server.events[4]!);
  timeline.live(server.events[8]!);
  assert.deepEqual(numbers(timeline), [5]);
  assert.deepEqual(timeline.gap, { after: 5, upTo: 9 });
  timeline.page(server.page({ after: 5 }, 2));
  assert.deepEqual(timeline.gap, { after: 7, upTo: 9 });
  timeline.page(server.page({ after: 7 }, 1));
  assert.deepEqual(numbers(timeline), [5, 6, 7, 8, 9]);
  assert.equal(timeline.gap, null);
});

test("an event that is known already is dropped by its number", () => {
  const server = roomWith(3);
  const timeline = new Timeline();
  timeline.page(server.page({}, 50));
  assert.equal(timeline.live(server.events[1]!), false);
  assert.deepEqual(numbers(timeline), [1, 2, 3]);
});

test("pages join at the front, overlapping or not; one that touches nothing changes nothing in front", () => {
  const server = roomWith(20);
  const timeline = new Timeline();
  timeline.page(server.page({}, 5));
  timeline.page(server.page({ before: 10 }, 3));
  assert.equal(timeline.first, 16);
  timeline.page(server.page({ before: 18 }, 6));
  assert.equal(timeline.first, 12);
  timeline.page(server.page({ before: 12 }, 50));
  assert.deepEqual(numbers(timeline), Array.from({ length: 20 }, (_, i) => i + 1));
  assert.equal(timeline.hasOlder, false);
});

test("an empty room is known as soon as it was read, and its first event follows", () => {
  const server = roomWith(0);
  const timeline = new Timeline();
  timeline.page(server.page({}, 50));
  assert.equal(timeline.positioned, true);
  assert.equal(timeline.hasOlder, false);
  timeline.live(server.post(BEN, "first"));
  assert.deepEqual(numbers(timeline), [1]);
});

test("a page read before an edit does not undo it when it arrives later", () => {
  const server = roomWith(3);
  const timeline = new Timeline();
  timeline.subscribed(3, "first");
  const before = server.page({ before: 4 }, 50);
  timeline.live(server.edit("m2", "edited"));
  timeline.page(before);
  assert.equal(timeline.message(timeline.at(2)!)?.body, "edited");
});

test("a page read after an edit shows it although the event has not come yet", () => {
  const server = roomWith(3);
  const timeline = new Timeline();
  timeline.subscribed(3, "first");
  const edit = server.edit("m2", "edited");
  timeline.page(server.page({ before: 4 }, 50));
  assert.equal(timeline.message(timeline.at(2)!)?.body, "edited");
  timeline.live(edit);
  assert.equal(timeline.message(timeline.at(2)!)?.body, "edited");
});

test("the oldest events can be dropped and read again", () => {
  const server = roomWith(30);
  const timeline = new Timeline();
  timeline.page(server.page({}, 30));
  timeline.keepLast(10);
  assert.deepEqual([timeline.first, timeline.last, timeline.hasOlder], [21, 30, true]);
  timeline.page(server.page({ before: 21 }, 50));
  assert.equal(timeline.first, 1);
});

test("in whatever order pages and events come, and however often, the run has every number once", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seeded(seed);
    const server = roomWith(60);
    const timeline = new Timeline();
    timeline.subscribed(Math.floor(random() * 60), "first");
    for (let step = 0; step < 300; step++) {
      const at = Math.floor(random() * 60);
      if (random() < 0.5) timeline.live(server.events[at]!);
      else timeline.page(server.page(random() < 0.5 ? { before: at } : { after: at }, 1 + Math.floor(random() * 20)));
      const run = numbers(timeline);
      assert.ok(run.every((number, i) => number === timeline.first + i), `seed ${seed}: no gap, no double`);
    }
    for (let gap = timeline.gap; gap; gap = timeline.gap) timeline.page(server.page({ after: gap.after }, 7));
    while (timeline.hasOlder) timeline.page(server.page({ before: timeline.first }, 7));
    timeline.page(server.page({ after: timeline.last }, 200));
    assert.deepEqual(numbers(timeline), Array.from({ length: 60 }, (_, i) => i + 1), `seed ${seed}`);
  }
});

test("an edit that takes the marks away takes the tree away", () => {
  const server = roomWith(0);
  const posted = server.post(BEN, "*text*");
  const timeline = new Timeline();
  timeline.page({ events: [{ ...posted, message: { ...posted.message!, content: [{ type: "p", content: ["text"] }] } }], epoch: "first", offset: 1, more: false });
  assert.ok(timeline.message(timeline.at(1)!)?.content);
  timeline.live(server.edit("m1", "text"));
  assert.equal(timeline.message(timeline.at(1)!)?.content, undefined);
});
