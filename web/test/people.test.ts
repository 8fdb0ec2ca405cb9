import assert from "node:assert/strict";
import { test } from "node:test";
import { IDLE_AFTER_MS, IDLE_RETRY_MS } from "../src/limits.ts";
import { Idle } from "../src/models/idle.ts";
import { People } from "../src/models/people.ts";
import { Presence } from "../src/models/presence.ts";
import { endOf, offsetOf, profileAt, stateOf } from "../src/models/profile.ts";
import { relativeTime } from "../src/models/times.ts";
import type { PersonRef, Profile } from "../src/wire.ts";
import { settled } from "./world.ts";

/** A clock that a test turns, with what waits for it. */
class Clock {
  now = 1_763_630_000_000;
  private waiting: { at: number; task: () => void }[] = [];

  readonly after = (delay: number, task: () => void): (() => void) => {
    const timer = { at: this.now + delay, task };
    this.waiting.push(timer);
    return () => (this.waiting = this.waiting.filter((other) => other !== timer));
  };

  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      await settled();
      const [next] = this.waiting.sort((a, b) => a.at - b.at);
      if (!next || next.at > end) break;
      this.now = Math.max(this.now, next.at);
      this.waiting.shift();
      next.task();
    }
    this.now = end;
    await settled();
  }
}

const BEN: Profile = { id: "ben", name: "Ben", changed: 10 };

function world(server: Profile[] = [BEN]) {
  const clock = new Clock();
  const asked: string[][] = [];
  let drawn = 0;
  const people = new People({
    ask: (ids) => {
      asked.push([...ids]);
      return Promise.resolve({ people: server.filter(({ id }) => ids.includes(id)) });
    },
    now: () => clock.now,
    after: clock.after,
    changed: () => (drawn += 1),
  });
  return { clock, asked, people, drawn: () => drawn };
}

test("a status and a time without disturbance are over when their time is, and the page draws anew", async () => {
  const { clock, people, drawn } = world();
  people.told({ ...BEN, status: { text: "Lunch", ends: clock.now + 1_000 }, quiet: { ends: clock.now + 2_000 } });
  const before = drawn();
  await clock.pass(999);
  assert.deepEqual([people.find("ben")?.status?.text, drawn()], ["Lunch", before]);
  await clock.pass(1);
  assert.deepEqual([people.find("ben")?.status, drawn()], [undefined, before + 1]);
  assert.notEqual(people.find("ben")?.quiet, undefined);
  await clock.pass(1_000);
  assert.deepEqual(people.find("ben"), BEN);
  assert.deepEqual(profileAt({ ...BEN, status: { text: "for ever" } }, clock.now).status, { text: "for ever" });
});

test("of two profiles the one that was changed later holds, whichever comes first", () => {
  const { people } = world();
  people.told({ ...BEN, name: "Benno", changed: 20 });
  people.told(BEN);
  assert.deepEqual(people.present({ id: "ben", name: "Ben" }), { id: "ben", name: "Benno" });
  // Of the same change, what is told later: somebody else has the name now.
  people.told({ ...BEN, name: "Benno", changed: 20, same_name: true });
  assert.equal(people.present<PersonRef>({ id: "ben", name: "Ben" }).same_name, true);
  assert.deepEqual(people.present({ id: "eva", name: "Eva" }), { id: "eva", name: "Eva" }, "who is not known is as they came");
});

test("who is shown is asked for once, together, and again after an absence", async () => {
  const { asked, people } = world();
  people.want(["ben"]);
  people.want(["eva", "ben"]);
  await settled();
  assert.deepEqual(asked, [["ben", "eva"]]);
  people.want(["ben"]);
  await settled();
  assert.equal(asked.length, 1);
  people.refresh(["ana"]);
  await settled();
  assert.deepEqual(asked[1], ["ana", "ben"]);
  people.want(Array.from({ length: 150 }, (_, n) => `p${n}`));
  await settled();
  assert.deepEqual(asked.slice(2).map((ids) => ids.length), [100, 50], "no more at once than the server answers");
});

test("a page says that it is idle after ten minutes, and at the next key that it is not", async () => {
  const clock = new Clock();
  const told: boolean[] = [];
  let takes = true;
  const idle = new Idle({
    now: () => clock.now,
    after: clock.after,
    tell: (is) => {
      told.push(is);
      return Promise.resolve(takes);
    },
  });
  idle.connected();
  await clock.pass(IDLE_AFTER_MS - 1);
  idle.acted();
  await clock.pass(IDLE_AFTER_MS - 1);
  assert.deepEqual(told, []);
  await clock.pass(1);
  assert.deepEqual(told, [true]);
  idle.acted();
  idle.acted();
  await settled();
  assert.deepEqual(told, [true, false]);
  // Said again with a new connection, and where the server did not take it, after a while.
  await clock.pass(IDLE_AFTER_MS);
  takes = false;
  idle.connected();
  await settled();
  assert.deepEqual(told, [true, false, true, true]);
  takes = true;
  await clock.pass(IDLE_RETRY_MS);
  assert.deepEqual(told, [true, false, true, true, true]);
  await clock.pass(3 * IDLE_AFTER_MS);
  assert.equal(told.length, 5, "and no more while nothing changes");
  idle.close();
});

test("g6_somebody is idle when all of their pages are, and gone with the last", () => {
  const presence = new Presence();
  presence.reset([
    { client: "1", user: "ben", name: "Ben", idle: true },
    { client: "2", user: "ben", name: "Ben" },
  ]);
  assert.deepEqual(presence.people(), [{ id: "ben", name: "Ben", idle: false }]);
  assert.equal(presence.told("2", true), true);
  assert.equal(presence.people()[0]?.idle, true);
  presence.told("1", false);
  assert.equal(presence.people()[0]?.idle, false);
  presence.left("1"); // its browser died
  assert.equal(presence.people()[0]?.idle, true);
  presence.left("2");
  assert.deepEqual(presence.people(), []);
  assert.equal(presence.told("3", true), false);
});

test("presence has one word: no disturbance before idle, and offline before all", () => {
  assert.deepEqual(
    [stateOf({ idle: false }, false), stateOf({ idle: true }, false), stateOf({ idle: true }, true), stateOf(null, true)],
    ["online", "idle", "quiet", "offline"],
  );
});

test("spans end with the day and the week here", () => {
  const friday = new Date(2026, 10, 20, 9, 30).getTime();
  assert.equal(endOf("half-hour", friday), friday + 1_800_000);
  assert.equal(endOf("today", friday), new Date(2026, 10, 21).getTime());
  assert.equal(endOf("week", friday), new Date(2026, 10, 23).getTime(), "on Sunday night");
  assert.equal(endOf("week", new Date(2026, 10, 22, 23).getTime()), new Date(2026, 10, 23).getTime());
  assert.equal(endOf("always", friday), undefined);
});

test("a zone is ahead of UTC by its minutes at that time of the year; one that is not known has none", () => {
  const [winter, summer] = [Date.UTC(2026, 0, 15, 12), Date.UTC(2026, 6, 15, 12)];
  assert.deepEqual([offsetOf("Europe/Berlin", winter), offsetOf("Europe/Berlin", summer)], [60, 120]);
  assert.deepEqual([offsetOf("Asia/Kathmandu", winter), offsetOf("America/New_York", winter)], [345, -300]);
  assert.equal(offsetOf("Moon/Tranquility", winter), null);
});

test("how long ago something was is said in one unit", () => {
  const now = 1_763_630_000_000;
  const ago = (ms: number): string => relativeTime(now - ms, now);
  assert.deepEqual(
    [ago(-5_000), ago(20_000), ago(300_000), ago(3 * 3_600_000), ago(26 * 3_600_000), ago(90 * 86_400_000)],
    ["now", "now", "5 minutes ago", "3 hours ago", "yesterday", "3 months ago"],
  );
});
