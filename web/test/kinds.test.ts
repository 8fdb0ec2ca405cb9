import assert from "node:assert/strict";
import { test } from "node:test";
import { changed, isArchived, isBlank, looksAfter, partner, rolesToGive, shownTo } from "../src/models/kinds.ts";
import type { RoomInfo } from "../src/wire.ts";
import { ANA, BEN, World } from "./world.ts";

const ROOM: RoomInfo = { id: "r", name: "Plans", topic: "", member: true, members: 2, offset: 3, epoch: "e", created: 0 };
const DIRECT: RoomInfo = { ...ROOM, kind: "direct", name: "Ben", people: [BEN] };

test("a direct message has a partner, a group and notes have none, and notes have one's own name", () => {
  assert.equal(partner(DIRECT), BEN);
  assert.equal(partner({ ...DIRECT, people: [BEN, { id: "c", name: "Cho" }] }), null);
  assert.equal(shownTo(ANA, { ...DIRECT, name: "", people: [] }).name, "Ana (you)");
  assert.equal(shownTo(ANA, DIRECT).name, "Ben");
  assert.deepEqual([isBlank(DIRECT, 1), isBlank(DIRECT, 2), isBlank(ROOM, 1)], [true, false, false]);
});

test("owners look after their rooms, administrators after public ones and those that they are in, nobody after direct messages", () => {
  const hidden: RoomInfo = { ...ROOM, kind: "private" };
  assert.equal(looksAfter("member", { ...hidden, role: "owner" }), true);
  assert.equal(looksAfter("member", ROOM), false);
  assert.deepEqual([looksAfter("admin", { ...ROOM, member: false }), looksAfter("owner", { ...hidden, member: false })], [true, false]);
  assert.equal(looksAfter("owner", DIRECT), false);
});

test("S44 the page offers nobody a role that the server would refuse", () => {
  assert.deepEqual(rolesToGive("owner", "member"), ["owner", "admin", "guest"]);
  assert.deepEqual(rolesToGive("admin", "member"), ["guest"]);
  assert.deepEqual([rolesToGive("admin", "admin"), rolesToGive("member", "guest")], [[], []]);
});

test("what an event says of a room is what it is from then on", () => {
  const archived = changed(ROOM, { name: "Ideas", topic: "new", kind: "private", archived: 7 });
  assert.deepEqual([archived.name, archived.kind, archived.archived, archived.members], ["Ideas", "private", 7, 2]);
  assert.deepEqual([isArchived(archived), isArchived(changed(archived, { name: "Ideas", topic: "" }))], [true, false]);
  assert.equal("archived" in changed(archived, { name: "Ideas", topic: "" }), false);
});

test("a room follows what happens to it, and not what had happened before it was read", () => {
  const world = new World({ events: 2 });
  world.connect();
  const by = { number: 3, time: 1, member: BEN };
  world.server.events.push({ ...by, type: "room.renamed", room: { name: "Ideas", topic: "" } });
  world.server.announce(world.server.events[2]!);
  assert.equal(world.room.info.value.name, "Ideas");
  world.room.info.value = { ...world.room.info.value, name: "Read later", offset: 9 };
  world.server.announce({ ...by, number: 4, type: "room.renamed", room: { name: "Before", topic: "" } });
  assert.equal(world.room.info.value.name, "Read later");
});
