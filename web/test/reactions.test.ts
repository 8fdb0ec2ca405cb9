/** What is shown under a message equals what was reacted to it, by whatever way that is learned and in whatever order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { WAITING_EVENTS_MAX } from "../src/limits.ts";
import { reacted, Reactions } from "../src/models/reactions.ts";
import { Timeline } from "../src/models/timeline.ts";
import type { Message, Reacted, RoomEvent } from "../src/wire.ts";
import { ANA, BEN, seeded, settled } from "./world.ts";

const CHO = { id: "person-cho", name: "Cho" };

function message(number: number, more: Partial<Message> = {}): Message {
  return { id: `m${number}`, room: "room-1", number, client_id: `c${number}`, author: BEN, body: "x", time: number, ...more };
}
const posted = (number: number, more: Partial<Message> = {}): RoomEvent => ({ type: "message.posted", number, time: number, message: message(number, more) });
const event = (number: number, stands: boolean, person = BEN, emoji = "👍", to = "m1"): RoomEvent => ({
  type: stands ? "reaction.added" : "reaction.removed",
  number,
  time: number,
  reaction: { message: to, emoji, person },
});
const shown = (list: readonly Reacted[] | null): unknown => list?.map(({ emoji, count, mine, people }) => [emoji, count, mine ?? false, people.map(({ name }) => name)]);
const page = (events: RoomEvent[], offset: number) => ({ events, epoch: "e", offset, more: false });

test("reactions come and go with their events, and one's own are known as such", () => {
  const timeline = new Timeline(ANA.id);
  timeline.subscribed(0, "e");
  for (const one of [posted(1), event(2, true), event(3, true, ANA), event(4, true, CHO, "🎉")]) timeline.live(one);
  assert.deepEqual(shown(timeline.reactions("m1")), [["👍", 2, true, ["Ben", "Ana"]], ["🎉", 1, false, ["Cho"]]]);
  timeline.live(event(5, false, ANA));
  timeline.live(event(6, false, CHO, "🎉"));
  assert.deepEqual(shown(timeline.reactions("m1")), [["👍", 1, false, ["Ben"]]]);
  timeline.live({ ...posted(7), type: "message.edited", message: message(1, { body: "y", edited: 7 }) });
  assert.deepEqual(shown(timeline.reactions("m1")), [["👍", 1, false, ["Ben"]]], "an edit takes none away");
});

test("an event that is in the page that was read, and one that came before its page, count once", () => {
  const timeline = new Timeline(ANA.id);
  timeline.subscribed(3, "e");
  timeline.live(event(4, true, CHO));
  const reactions = [{ emoji: "👍", count: 2, people: [BEN, { ...ANA }], mine: true }];
  timeline.page(page([posted(1, { reactions }), event(2, true), event(3, true, ANA)], 3));
  assert.deepEqual(shown(timeline.reactions("m1")), [["👍", 3, true, ["Ben", "Ana", "Cho"]]]);
  timeline.page(page([posted(1, { reactions })], 3));
  assert.deepEqual(shown(timeline.reactions("m1")), [["👍", 3, true, ["Ben", "Ana", "Cho"]]], "an older page is no news");
});

test("what was deleted shows none; what is restored shows those that are known, or asks", () => {
  const timeline = new Timeline(ANA.id);
  timeline.subscribed(0, "e");
  const deleted = { time: 3, by: BEN };
  for (const one of [posted(1), event(2, true)]) timeline.live(one);
  timeline.live({ type: "message.deleted", number: 3, time: 3, message: message(1, { deleted }) });
  assert.deepEqual(timeline.reactions("m1"), []);
  timeline.live({ type: "message.restored", number: 4, time: 4, message: message(1) });
  assert.deepEqual(shown(timeline.reactions("m1")), [["👍", 1, false, ["Ben"]]]);

  const late = new Timeline(ANA.id);
  late.page(page([posted(1, { deleted })], 3));
  late.subscribed(3, "e");
  late.live({ type: "message.restored", number: 4, time: 4, message: message(1) });
  assert.equal(late.reactions("m1"), null);
  late.read(message(1, { reactions: [{ emoji: "👍", count: 1, people: [BEN] }] }), 4);
  assert.deepEqual(shown(late.reactions("m1")), [["👍", 1, false, ["Ben"]]]);
});

test("of many the first are named and all are counted, also when they take theirs back", () => {
  const many = Array.from({ length: 9 }, (_, n) => ({ id: `p${n}`, name: `P${n}` }));
  let list: readonly Reacted[] = [];
  for (const person of many) list = reacted(list, { message: "m1", emoji: "👍", person }, true, ANA.id);
  assert.deepEqual(shown(list), [["👍", 9, false, ["P0", "P1", "P2", "P3", "P4"]]]);
  list = reacted(list, { message: "m1", emoji: "👍", person: many[8]! }, false, ANA.id);
  list = reacted(list, { message: "m1", emoji: "👍", person: many[0]! }, false, ANA.id);
  assert.deepEqual(shown(list), [["👍", 7, false, ["P1", "P2", "P3", "P4"]]]);
});

test("whatever order pages and events come in, what is shown is what stands", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seeded(seed);
    const upTo = (n: number): number => Math.floor(random() * n);
    const people = [ANA, BEN, CHO];
    const events: RoomEvent[] = [posted(1), posted(2)];
    const standing = new Map<string, boolean>();
    for (let number = 3; number < 30; number++) {
      const [person, emoji, to] = [people[upTo(3)]!, ["👍", "🎉"][upTo(2)]!, ["m1", "m2"][upTo(2)]!];
      const key = `${to} ${emoji} ${person.id}`;
      const stands = !(standing.get(key) ?? false);
      standing.set(key, stands);
      events.push(event(number, stands, person, emoji, to));
    }
    const asRead = (offset: number): RoomEvent[] =>
      events.slice(0, offset).map((one) => {
        if (!one.message) return one;
        let reactions: readonly Reacted[] = [];
        for (const { reaction, type } of events.slice(0, offset)) {
          if (reaction?.message === one.message.id) reactions = reacted(reactions, reaction, type === "reaction.added", ANA.id);
        }
        return { ...one, message: { ...one.message, reactions: [...reactions] } };
      });
    const timeline = new Timeline(ANA.id);
    let live = upTo(events.length);
    timeline.subscribed(live, "e");
    while (live < events.length || random() < 0.5) {
      if (live < events.length && random() < 0.6) timeline.live(events[live++]!);
      else timeline.page(page(asRead(1 + upTo(live)), live).events.length > 0 ? page(asRead(live), live) : page([], live));
    }
    timeline.page(page(asRead(events.length), events.length));
    const sorted = (list: readonly Reacted[] | null): unknown =>
      [...(list ?? [])].map(({ emoji, count, mine, people: who }) => [emoji, count, mine ?? false, who.map(({ id }) => id).sort()]).sort();
    const end = asRead(events.length);
    for (const at of [0, 1]) {
      const now = end[at]!.message!;
      assert.deepEqual(sorted(timeline.reactions(now.id)), sorted(now.reactions!), `seed ${seed}`);
    }
  }
});

test("what comes while the run ends far before it is shown under what is held, and once when it joins", () => {
  const timeline = new Timeline(ANA.id);
  timeline.subscribed(500, "e");
  timeline.restart();
  const many = ["Dan", "Eve", "Fay", "Gil", "Hal", "Ivy"].map((name) => ({ id: name, name }));
  timeline.page(page([posted(1), posted(2)], 500));
  for (const [at, person] of many.entries()) timeline.live(event(501 + at, true, person));
  timeline.live(event(508, false, many[0]));
  timeline.live(event(507, true, ANA));
  const now = [["👍", 6, true, ["Eve", "Fay", "Gil", "Hal"]]];
  assert.deepEqual(shown(timeline.reactions("m1")), now);
  timeline.page(page(Array.from({ length: 498 }, (_, at) => posted(at + 3)), 508));
  assert.equal(timeline.last, 508);
  assert.deepEqual(shown(timeline.reactions("m1")), now);
});

test("what waits while something before it is missing takes nothing from that", () => {
  const timeline = new Timeline(ANA.id);
  timeline.subscribed(0, "e");
  timeline.live(posted(1));
  timeline.live(event(4, false));
  assert.deepEqual(shown(timeline.reactions("m1")), []);
  timeline.live(event(5, true, CHO));
  assert.deepEqual(shown(timeline.reactions("m1")), [["👍", 1, false, ["Cho"]]]);
  timeline.page(page([event(2, true), event(3, true, ANA)], 5));
  assert.deepEqual(shown(timeline.reactions("m1")), [["👍", 2, true, ["Ana", "Cho"]]]);
});

test("however much waits, a reaction to what is held is shown", () => {
  const timeline = new Timeline(ANA.id);
  timeline.subscribed(100, "e");
  timeline.restart();
  timeline.page(page([posted(1)], 100));
  for (let number = 101; number <= 101 + WAITING_EVENTS_MAX; number++) timeline.live(posted(number));
  timeline.live(event(102 + WAITING_EVENTS_MAX, true));
  assert.deepEqual(shown(timeline.reactions("m1")), [["👍", 1, false, ["Ben"]]]);
});

function desk() {
  const timeline = new Timeline(ANA.id);
  timeline.subscribed(0, "e");
  timeline.live(posted(1));
  const asked: string[] = [];
  let answer: () => Promise<null> = () => Promise.resolve(null);
  const api = {
    react: (_room: string, id: string, emoji: string, stands: boolean) => {
      asked.push(`${stands ? "+" : "-"}${emoji} ${id}`);
      return answer();
    },
  };
  const room = { id: "room-1", timeline, changed: () => undefined };
  const reactions = new Reactions(room, { me: ANA, api });
  const tell = (one: RoomEvent): void => {
    timeline.live(one);
    reactions.told(one);
  };
  const seen = (): unknown => shown(reactions.shown("m1", timeline.reactions("m1") ?? []));
  return { reactions, tell, seen, asked, timeline, answers: (how: () => Promise<null>) => (answer = how) };
}

test("one's own reaction stands at once, and once when its event comes", async () => {
  const { reactions, tell, seen, asked } = desk();
  const done = reactions.set("m1", "👍", true);
  assert.deepEqual(seen(), [["👍", 1, true, ["Ana"]]]);
  await done;
  assert.deepEqual([seen(), asked], [[["👍", 1, true, ["Ana"]]], ["+👍 m1"]]);
  tell(event(2, true, ANA));
  assert.deepEqual(seen(), [["👍", 1, true, ["Ana"]]]);
  tell(event(3, false, ANA));
  assert.deepEqual(seen(), [], "another device has taken it back");
});

test("a wish stands until the timeline shows it, and what was before it says nothing of it", async () => {
  const { reactions, tell, seen, timeline } = desk();
  tell(event(2, true, ANA));
  tell(event(3, false, ANA));
  await reactions.set("m1", "👍", true);
  reactions.told(event(3, false, ANA));
  assert.deepEqual(seen(), [["👍", 1, true, ["Ana"]]], "a page has that, too");
  reactions.told(event(4, true, ANA));
  assert.deepEqual(seen(), [["👍", 1, true, ["Ana"]]], "the timeline does not have it");
  timeline.live(event(4, true, ANA));
  timeline.live(event(5, false, ANA));
  for (const one of [event(4, true, ANA), event(5, false, ANA)]) reactions.told(one);
  assert.deepEqual(seen(), [], "another device took it back at once");
});

test("what the server refuses is as it was", async () => {
  const { reactions, seen, answers } = desk();
  answers(() => Promise.reject(new Error("no")));
  await assert.rejects(reactions.set("m1", "👍", true));
  assert.deepEqual(seen(), []);
});

test("who changes their mind before the server has answered sees the last wish all the while", async () => {
  const { reactions, tell, seen, asked } = desk();
  const [one, other] = [reactions.set("m1", "👍", true), reactions.set("m1", "👍", false)];
  assert.deepEqual(seen(), []);
  await one;
  tell(event(2, true, ANA));
  assert.deepEqual(seen(), []);
  await other;
  await settled();
  tell(event(3, false, ANA));
  assert.deepEqual([seen(), asked], [[], ["+👍 m1", "-👍 m1"]]);
});
