import assert from "node:assert/strict";
import { test } from "node:test";
import { IDBFactory } from "fake-indexeddb";
import { RESEND_DELAY_MAX_MS, RESEND_DELAY_MIN_MS, SENT_REMEMBERED_MAX } from "../src/limits.ts";
import { sendOutcome } from "../src/live.ts";
import { Outbox, resendDelay, type Hindrance, type SendResult, type Unsent, type UnsentStore } from "../src/models/outbox.ts";
import { uuidv7 } from "../src/models/uuid.ts";
import { IndexedDbStore } from "../src/unsent_store.ts";
import { MemoryStore, settled } from "./world.ts";

/** An outbox whose server answers as the test says. */
class Desk {
  readonly sent: string[] = [];
  /** What waits for its time, each with its delay in milliseconds. */
  timers: { delay: number; task: () => void }[] = [];
  /** What was told of the server, from first to last. */
  readonly told: (Hindrance | null)[] = [];
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
      hindered: (why) => void this.told.push(why),
      after: (delay, task) => {
        const timer = { delay, task };
        this.timers.push(timer);
        return () => (this.timers = this.timers.filter((other) => other !== timer));
      },
      random: () => 0.5,
    });
  }

  /** Lets the time pass that everything waits for. */
  async pass(): Promise<void> {
    for (const { task } of this.timers.splice(0)) task();
    await settled();
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

const AWAY: SendResult = { again: "database" };

test("a server that says try again never fails a message: it waits, for as long as it takes, and is sent in its order", async () => {
  const desk = new Desk();
  desk.answer = () => AWAY;
  desk.outbox.connected(true);
  desk.outbox.add("r", "one", 1);
  desk.outbox.add("r", "two", 1);
  await settled();
  for (let attempt = 0; attempt < 5_000; attempt += 1) await desk.pass();
  assert.deepEqual(desk.states(), ["pending", "pending"]);
  assert.deepEqual(new Set(desk.sent), new Set(["one"]), "nothing overtakes what waits");
  desk.answer = () => desk.accept();
  await desk.pass();
  assert.deepEqual([desk.sent.slice(-2), desk.states()], [["one", "two"], ["sent", "sent"]]);
});

test("whoever writes on does not make the wait shorter, and the waits grow", async () => {
  const desk = new Desk();
  desk.answer = () => AWAY;
  desk.outbox.connected(true);
  const waits: number[] = [];
  for (let n = 0; n < 8; n += 1) {
    for (let written = 0; written < 3; written += 1) desk.outbox.add("r", `${n}.${written}`, 1);
    await desk.outbox.restore();
    await settled();
    assert.equal(desk.sent.length, n + 1, "one attempt, however much is written");
    assert.equal(desk.timers.length, 1);
    waits.push(desk.timers[0]?.delay ?? 0);
    await desk.pass();
  }
  assert.deepEqual(waits, [...waits].sort((a, b) => a - b));
  assert.ok((waits[0] ?? 0) >= RESEND_DELAY_MIN_MS && (waits.at(-1) ?? 0) > RESEND_DELAY_MAX_MS / 3);
});

test("what is refused for good fails at once, also among what waits", async () => {
  const desk = new Desk();
  desk.answer = () => AWAY;
  desk.outbox.connected(true);
  desk.outbox.add("r", "first", 1);
  desk.outbox.add("r", "second", 1);
  await settled();
  desk.answer = (unsent) => (unsent.body === "first" ? { failure: "conflict" } : desk.accept());
  await desk.pass();
  assert.deepEqual(desk.states(), ["conflict", "sent"]);
});

test("when one room's message gets through, those of other rooms wait no longer", async () => {
  const desk = new Desk();
  desk.answer = () => AWAY;
  desk.outbox.connected(true);
  for (const room of ["r", "s"]) desk.outbox.add(room, room, 1);
  await settled();
  desk.answer = () => desk.accept();
  desk.timers.shift()?.task();
  await settled();
  assert.deepEqual([desk.states("r"), desk.states("s"), desk.timers], [["sent"], ["sent"], []]);
});

test("Try now sends at once what waits, and so does a connection that stands again", async () => {
  for (const how of ["tryNow", "connected"] as const) {
    const desk = new Desk();
    desk.answer = () => AWAY;
    desk.outbox.connected(true);
    desk.outbox.add("r", "one", 1);
    await settled();
    desk.answer = () => desk.accept();
    desk.outbox[how](true);
    await settled();
    assert.deepEqual([desk.states(), desk.timers], [["sent"], []]);
  }
});

test("why the server does not take messages is told, until it takes one, nothing waits or the connection is gone", async () => {
  const next = (answer: (desk: Desk) => SendResult) => (desk: Desk) => {
    desk.answer = () => answer(desk);
    desk.outbox.tryNow();
  };
  const ends: ((desk: Desk) => void)[] = [
    next((desk) => desk.accept()),
    next(() => ({ failure: "refused" })),
    // Only too fast: nothing is wrong with the server.
    next(() => ({ again: null })),
    (desk) => desk.outbox.connected(false),
    (desk) => desk.outbox.delete(desk.outbox.in("r")[0]?.client_id ?? ""),
    (desk) => void desk.outbox.clear(),
  ];
  for (const end of ends) {
    const desk = new Desk();
    desk.answer = () => AWAY;
    desk.outbox.connected(true);
    desk.outbox.add("r", "one", 1);
    await settled();
    desk.answer = () => ({ again: "silent" });
    await desk.pass();
    assert.deepEqual(desk.told.slice(-2), ["database", "silent"]);
    end(desk);
    await settled();
    assert.equal(desk.told.at(-1), null, String(end));
  }
});

test("Retry all sends everything that failed in the room again, in the order written", async () => {
  const desk = new Desk();
  desk.answer = () => ({ failure: "refused" });
  desk.outbox.connected(true);
  for (const body of ["one", "two", "three"]) desk.outbox.add("r", body, 1);
  desk.outbox.add("s", "elsewhere", 1);
  await settled();
  desk.answer = () => desk.accept();
  desk.outbox.retryAll("r");
  await settled();
  assert.deepEqual([desk.sent.slice(-3), desk.states("r"), desk.states("s")], [["one", "two", "three"], ["sent", "sent", "sent"], ["refused"]]);
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

test("an error of a send means wait for the connection, ask again, or give up", () => {
  for (const code of [1, 2, 11]) assert.equal(sendOutcome({ code }, false), "later");
  // Its timeout, and what the client library makes of an answer that it cannot read.
  for (const code of [1, 2]) assert.deepEqual(sendOutcome({ code }, true), { again: "silent" });
  assert.deepEqual(sendOutcome(new TypeError("an answer without data"), true), { again: "silent" });
  assert.deepEqual(sendOutcome({ code: 503, temporary: true }, true), { again: "database" });
  assert.deepEqual(sendOutcome({ code: 507 }, true), { again: "full" }, "room is made on a disk, too");
  for (const code of [100, 113]) assert.deepEqual(sendOutcome({ code }, true), { again: "failing" });
  assert.deepEqual(sendOutcome({ code: 999, temporary: true }, true), { again: "failing" });
  assert.deepEqual(sendOutcome({ code: 111 }, true), { again: null }, "too fast");
  for (const [code, failure] of [[103, "not_a_member"], [400, "empty"], [409, "conflict"], [413, "too_long"], [1_500, "refused"]]) {
    assert.deepEqual(sendOutcome({ code }, true), { failure });
  }
});

test("the wait grows exponentially with full jitter, between its limits", () => {
  assert.equal(resendDelay(1, 0), 500);
  assert.equal(resendDelay(1, 0.999999), 1_000);
  assert.equal(resendDelay(3, 0.999999), 4_000);
  assert.equal(resendDelay(40, 0.999999), RESEND_DELAY_MAX_MS);
  assert.equal(resendDelay(40, 0), 500);
});

test("client ids are UUIDv7 and ascend, also within one millisecond and when the clock steps back", () => {
  const ids = Array.from({ length: 20_000 }, (_, i) => uuidv7(1_800_000_000_000 - (i % 3)));
  assert.ok(ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)));
  assert.ok(ids.every((id, i) => i === 0 || id > (ids[i - 1] ?? "")));
  assert.equal(parseInt(uuidv7(1_900_000_000_000).replace("-", "").slice(0, 12), 16), 1_900_000_000_000);
});
