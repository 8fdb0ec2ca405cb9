import assert from "node:assert/strict";
import { test } from "node:test";
import { IDBFactory } from "fake-indexeddb";
import { SEND_ATTEMPTS_MAX, SENT_REMEMBERED_MAX } from "../src/limits.ts";
import { sendOutcome } from "../src/live.ts";
import { Outbox, resendDelay, type SendResult, type Unsent, type UnsentStore } from "../src/models/outbox.ts";
import { uuidv7 } from "../src/models/uuid.ts";
import { IndexedDbStore } from "../src/unsent_store.ts";
import { MemoryStore, settled } from "./world.ts";

/** An outbox whose server answers as the test says. */
class Desk {
  readonly sent: string[] = [];
  readonly timers: (() => void)[] = [];
  readonly outbox: Outbox;
  answer: (unsent: Unsent) => SendResult | Promise<SendResult> = () => this.accept();
  /** The last number on the screen. */
  reached = 0;
  private number = 0;

  constructor(readonly store: UnsentStore = new MemoryStore()) {
    this.outbox = new Outbox({
      person: "ana",
      store,
      send: async (unsent) => {
        this.sent.push(unsent.body);
        return this.answer(unsent);
      },
      changed: () => undefined,
      reached: () => this.reached,
      after: (_delay, task) => void this.timers.push(task),
      random: () => 0.5,
    });
  }

  accept(): SendResult {
    this.number += 1;
    return { posted: { id: `m${this.number}`, number: this.number, time: 1 } };
  }

  states(room = "r"): string[] {
    return this.outbox.in(room).map((unsent) => (unsent.posted ? "sent" : (unsent.failure ?? "pending")));
  }
}

test("messages of a room are sent one at a time, in the order written", async () => {
  const desk = new Desk();
  let answer: (result: SendResult) => void = () => undefined;
  desk.answer = () => new Promise((resolve) => (answer = resolve));
  desk.outbox.connected(true);
  for (const body of ["one", "two", "three"]) desk.outbox.add("r", body, 1);
  await settled();
  assert.deepEqual(desk.sent, ["one"]);
  answer(desk.accept());
  await settled();
  assert.deepEqual(desk.sent, ["one", "two"]);
});

test("rooms do not wait for each other", async () => {
  const desk = new Desk();
  desk.answer = (unsent) => (unsent.room === "slow" ? new Promise(() => undefined) : desk.accept());
  desk.outbox.connected(true);
  desk.outbox.add("slow", "one", 1);
  desk.outbox.add("quick", "two", 1);
  await settled();
  assert.deepEqual(desk.states("quick"), ["sent"]);
});

test("without a connection everything waits, and is sent in order when it is back", async () => {
  const desk = new Desk();
  for (const body of ["one", "two"]) desk.outbox.add("r", body, 1);
  await settled();
  assert.deepEqual([desk.sent, desk.states()], [[], ["pending", "pending"]]);
  desk.outbox.connected(true);
  await settled();
  assert.deepEqual([desk.sent, desk.states()], [["one", "two"], ["sent", "sent"]]);
});

test("a send that is in doubt is repeated under the same client id", async () => {
  const desk = new Desk();
  const ids: string[] = [];
  desk.answer = (unsent) => {
    ids.push(unsent.client_id);
    return ids.length === 1 ? "later" : desk.accept();
  };
  desk.outbox.connected(true);
  desk.outbox.add("r", "one", 1);
  await settled();
  desk.outbox.connected(false);
  desk.outbox.connected(true);
  await settled();
  assert.equal(ids.length, 2);
  assert.equal(ids[0], ids[1]);
});

test("a refused message stays, with what is behind it going on; Retry and Delete work", async () => {
  const desk = new Desk();
  desk.answer = (unsent) => (unsent.body === "bad" ? { failure: "not_a_member" } : desk.accept());
  desk.outbox.connected(true);
  const bad = desk.outbox.add("r", "bad", 1);
  desk.outbox.add("r", "good", 1);
  await settled();
  assert.deepEqual(desk.states(), ["not_a_member", "sent"]);
  desk.outbox.retry(bad.client_id);
  await settled();
  assert.deepEqual(desk.sent, ["bad", "good", "bad"]);
  desk.outbox.delete(bad.client_id);
  assert.deepEqual(desk.states(), ["sent"]);
});

test("a busy server is asked again after a while, and after some attempts the message is called failed", async () => {
  const desk = new Desk();
  desk.answer = () => "again";
  desk.outbox.connected(true);
  desk.outbox.add("r", "one", 1);
  await settled();
  while (desk.timers.length > 0) {
    desk.timers.shift()?.();
    await settled();
  }
  assert.equal(desk.sent.length, SEND_ATTEMPTS_MAX);
  assert.deepEqual(desk.states(), ["no_answer"]);
});

test("an event that comes before its answer takes the message away; the answer then changes nothing", async () => {
  const desk = new Desk();
  let answer: (result: SendResult) => void = () => undefined;
  desk.answer = () => new Promise((resolve) => (answer = resolve));
  desk.outbox.connected(true);
  const mine = desk.outbox.add("r", "one", 1);
  desk.outbox.arrived(mine.client_id);
  answer(desk.accept());
  await settled();
  assert.deepEqual(desk.states(), []);
});

test("an answer for a message that is on the screen already takes it away", async () => {
  const desk = new Desk();
  desk.outbox.connected(true);
  desk.outbox.add("r", "one", 1);
  await settled();
  desk.outbox.caughtUp("r", 0);
  assert.deepEqual(desk.states(), ["sent"]);
  desk.outbox.caughtUp("r", 1);
  assert.deepEqual(desk.states(), []);
});

test("a reload loses nothing: what was not sent is sent then, in order, under the same ids", async () => {
  const factory = new IDBFactory();
  const before = new Desk(new IndexedDbStore(factory));
  const ids = ["one", "two", "three"].map((body) => before.outbox.add("r", body, 1_700_000_000_000).client_id);
  await before.store.load("ana");

  const after = new Desk(new IndexedDbStore(factory));
  await after.outbox.restore();
  assert.deepEqual(after.outbox.in("r").map((unsent) => unsent.client_id), ids);
  after.outbox.connected(true);
  await settled();
  assert.deepEqual(after.sent, ["one", "two", "three"]);
  assert.deepEqual(await new IndexedDbStore(factory).load("ana"), []);
});

test("what another tab left unsent is sent by this one when it connects, and what it sent is not sent again", async () => {
  const factory = new IDBFactory();
  const open = new Desk(new IndexedDbStore(factory));
  const closed = new Desk(new IndexedDbStore(factory));
  closed.outbox.add("r", "left behind", 1);
  const sent = closed.outbox.add("r", "sent over there", 2);
  await closed.store.load("ana");
  await open.outbox.restore();
  assert.equal(open.outbox.size, 2);
  await new IndexedDbStore(factory).delete(sent.client_id);
  await open.outbox.restore();
  open.outbox.connected(true);
  await settled();
  assert.deepEqual(open.sent, ["left behind"]);
});

test("what another tab sent does not come back with an older reading of the store", async () => {
  const factory = new IDBFactory();
  const [here, there] = [new Desk(new IndexedDbStore(factory)), new Desk(new IndexedDbStore(factory))];
  const sent = there.outbox.add("r", "sent over there", 1);
  await there.store.load("ana");
  const reading = here.outbox.restore();
  here.outbox.arrived(sent.client_id); // its event is quicker than this tab's disk
  await reading;
  assert.deepEqual(here.states(), []);
});

test("of what was sent only the newest is remembered, and an old one that is found again is sent again", async () => {
  const desk = new Desk();
  const left = (id: string): Unsent => ({ client_id: id, person: "ana", room: "r", body: id, created: 1, attempted: true, failure: null, posted: null });
  for (let n = 0; n <= SENT_REMEMBERED_MAX; n++) desk.outbox.arrived(`c${n}`);
  for (const id of ["c0", "c1", `c${SENT_REMEMBERED_MAX}`]) await desk.store.put(left(id));
  await desk.outbox.restore();
  assert.deepEqual(desk.outbox.in("r").map((unsent) => unsent.client_id), ["c0"]);
});

test("an answer for a message whose event was there before takes it away at once", async () => {
  const desk = new Desk();
  desk.reached = 1;
  desk.outbox.connected(true);
  desk.outbox.add("r", "one", 1);
  await settled();
  assert.deepEqual([desk.sent, desk.states()], [["one"], []]);
});

test("what was deleted in another tab is not stored again by this one", async () => {
  const factory = new IDBFactory();
  const [here, there] = [new Desk(new IndexedDbStore(factory)), new Desk(new IndexedDbStore(factory))];
  const failed = there.outbox.add("r", "better not", 1);
  await there.store.load("ana");
  await here.outbox.restore();
  assert.deepEqual(here.states(), ["pending"]);
  there.outbox.delete(failed.client_id);
  await there.store.load("ana");
  here.answer = () => "later";
  here.outbox.connected(true); // marks it as attempted
  await here.outbox.restore();
  assert.deepEqual(await new IndexedDbStore(factory).load("ana"), []);
  assert.deepEqual(here.states(), []);
});

test("readings of the store are taken in their order", async () => {
  const desk = new Desk();
  const readings: ((stored: Unsent[]) => void)[] = [];
  desk.store.load = () => new Promise((resolve) => readings.push(resolve));
  const theirs: Unsent = { client_id: "c", person: "ana", room: "r", body: "theirs", created: 1, attempted: false, failure: null, posted: null };
  const [older, newer] = [desk.outbox.restore(), desk.outbox.restore()];
  await settled();
  assert.equal(readings.length, 1);
  readings[0]?.([]);
  await older;
  await settled();
  readings[1]?.([theirs]);
  await newer;
  assert.deepEqual(desk.states(), ["pending"]);
});

test("another person on the same computer does not get what was left unsent", async () => {
  const factory = new IDBFactory();
  const ana = new Desk(new IndexedDbStore(factory));
  ana.outbox.add("r", "mine", 1);
  assert.equal((await ana.store.load("ana")).length, 1);
  assert.deepEqual(await ana.store.load("ben"), []);
});

test("signing out forgets what is stored", async () => {
  const factory = new IDBFactory();
  const ana = new Desk(new IndexedDbStore(factory));
  ana.outbox.add("r", "mine", 1);
  assert.equal((await ana.store.load("ana")).length, 1);
  await ana.outbox.clear();
  assert.deepEqual(await new IndexedDbStore(factory).load("ana"), []);
});

test("what was read before signing out does not come back after it", async () => {
  const factory = new IDBFactory();
  const ana = new Desk(new IndexedDbStore(factory));
  const other = new Desk(new IndexedDbStore(factory));
  other.outbox.add("r", "mine", 1);
  await other.store.load("ana");
  const reading = ana.outbox.restore();
  await Promise.all([ana.outbox.clear(), reading]);
  assert.deepEqual(ana.states(), []);
});

test("after a room was restored from a backup, what was answered and did not arrive is asked for again", async () => {
  const desk = new Desk();
  desk.outbox.connected(true);
  desk.outbox.add("r", "one", 1);
  await settled();
  assert.deepEqual(desk.states(), ["sent"]);
  desk.outbox.renewed("r");
  await settled();
  assert.deepEqual([desk.sent, desk.states()], [["one", "one"], ["sent"]]);
});

test("a browser without a database loses nothing but the memory of it", async () => {
  const desk = new Desk(new IndexedDbStore(undefined));
  desk.outbox.add("r", "one", 1);
  await desk.outbox.restore();
  assert.deepEqual(desk.states(), ["pending"]);
});

test("an error of a send means wait, ask again, or give up", () => {
  for (const code of [1, 2, 11]) assert.equal(sendOutcome({ code }, false), "later");
  for (const code of [1, 2, 100, 111]) assert.equal(sendOutcome({ code }, true), "again");
  assert.equal(sendOutcome({ code: 999, temporary: true }, true), "again");
  assert.equal(sendOutcome(new TypeError("an answer without data"), true), "again");
  assert.deepEqual(sendOutcome({ code: 103 }, true), { failure: "not_a_member" });
  assert.deepEqual(sendOutcome({ code: 413 }, true), { failure: "too_long" });
  assert.deepEqual(sendOutcome({ code: 1_500 }, true), { failure: "refused" });
});

test("the wait grows exponentially with full jitter, between its limits", () => {
  assert.equal(resendDelay(1, 0), 500);
  assert.equal(resendDelay(1, 0.999999), 1_000);
  assert.equal(resendDelay(3, 0.999999), 4_000);
  assert.equal(resendDelay(40, 0.999999), 20_000);
  assert.equal(resendDelay(40, 0), 500);
});

test("client ids are UUIDv7 and ascend, also within one millisecond and when the clock steps back", () => {
  const ids = Array.from({ length: 20_000 }, (_, i) => uuidv7(1_800_000_000_000 - (i % 3)));
  assert.ok(ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)));
  assert.ok(ids.every((id, i) => i === 0 || id > (ids[i - 1] ?? "")));
  assert.equal(parseInt(uuidv7(1_900_000_000_000).replace("-", "").slice(0, 12), 16), 1_900_000_000_000);
});
