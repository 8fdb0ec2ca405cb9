/** Going to a message wherever in a room's history it is: what is around it is there, and history goes on both ways without a hole. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BEN, World, settled } from "./world.ts";

const counting = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => i + from);

async function inTheRoom(events: number): Promise<World> {
  const world = new World({ events });
  world.connect();
  world.room.enter();
  await settled();
  return world;
}

/** What the list does when it shows the place. */
async function read(world: World, from: number, to: number): Promise<void> {
  world.room.target.value = null;
  world.room.hold({ from, to });
  await settled();
}

test("a message that is held is gone to without asking for anything", async () => {
  const world = await inTheRoom(60);
  const { length } = world.asked;
  assert.equal(await world.room.goTo(40), true);
  assert.deepEqual([world.room.target.value, world.asked.length], [40, length]);
});

test("one a little further up joins what is held", async () => {
  const world = await inTheRoom(120);
  assert.deepEqual(world.numbers(), counting(71, 120));
  assert.equal(await world.room.goTo(60), true);
  assert.deepEqual(world.numbers(), counting(36, 120));
});

test("one far up stands with what is around it, and what lies between is read up to the newest where that is not much", async () => {
  const world = await inTheRoom(900);
  assert.equal(await world.room.goTo(300), true);
  assert.deepEqual([world.numbers()[0], world.room.timeline.at(325)?.number], [276, 325]);
  await read(world, 280, 320);
  assert.deepEqual(world.numbers(), counting(276, 900));
});

test("one very far up stays before the reader, who reads on from there in both directions, and goes to the end at once", async () => {
  const world = await inTheRoom(5_000);
  assert.equal(await world.room.goTo(1_000), true);
  await read(world, 980, 1_025);
  assert.deepEqual(world.numbers(), counting(976, 1_025));
  assert.equal(world.room.behind.value, true);
  world.server.post(BEN, "meanwhile");
  await settled();
  assert.deepEqual(world.numbers(), counting(976, 1_025), "what comes live takes the place from nobody");
  await world.room.loadOlder();
  world.room.readOn();
  await settled();
  assert.deepEqual(world.numbers(), counting(926, 1_225));
  assert.equal(await world.room.goTo(3_000), true, "and on to another one");
  await read(world, 2_990, 3_010);
  assert.deepEqual(world.numbers(), counting(2_976, 3_025));
  world.room.hold(null);
  await settled();
  assert.deepEqual(world.numbers(), counting(4_952, 5_001));
  assert.deepEqual(world.texts(), world.server.texts().slice(-50));
});

test("a room that is opened at a message does not wait for the subscription, and keeps its place when that comes", async () => {
  const world = new World({ events: 4_000 });
  world.room.enter();
  assert.equal(await world.room.goTo(1_000), true);
  await read(world, 990, 1_010);
  world.connect();
  await settled();
  assert.deepEqual([world.room.timeline.first, world.room.timeline.last, world.room.behind.value], [976, 1_025, true]);
});

/** Holds back what is asked for until the returned function is called, and fails it then where that is wanted. */
function held(world: World): (fails?: boolean) => void {
  let release: (fails: boolean) => void = () => undefined;
  world.hold = new Promise((resolve, reject) => (release = (fails) => (fails ? reject(new Error("offline")) : resolve())));
  return (fails = false) => {
    world.hold = null;
    release(fails);
  };
}

test("who goes elsewhere before the answer comes goes there, and the answer changes nothing and says nothing", async () => {
  const elsewhere: Record<string, (world: World) => unknown> = {
    "to another event": (world) => world.room.goTo(960),
    "to the end": (world) => world.room.toEnd(),
    "to another room": (world) => world.room.leave(),
    "into the room anew": (world) => world.room.enter(),
  };
  for (const [where, go] of Object.entries(elsewhere)) {
    for (const failing of [false, true]) {
      const world = await inTheRoom(1_000);
      const release = held(world);
      const before = world.numbers();
      const going = world.room.goTo(3);
      await settled();
      go(world);
      await settled();
      const target = world.room.target.value;
      assert.equal(target, where === "to another event" ? 960 : null, where);
      release(failing);
      await settled();
      assert.deepEqual([await going, world.room.target.value, world.room.history.value, world.numbers()], [null, target, "idle", before], where);
    }
  }
});

test("the reader who comes down to the end while they are being led up stays there", async () => {
  const world = await inTheRoom(1_000);
  await world.room.goTo(960);
  await read(world, 955, 990);
  const release = held(world);
  const going = world.room.goTo(3);
  await settled();
  world.room.hold(null);
  release();
  assert.equal(await going, null);
  assert.deepEqual([world.room.target.value, world.numbers().at(-1)], [null, 1_000]);
});

test("the later of two goings is the one that counts, whichever is answered first", async () => {
  const world = await inTheRoom(2_000);
  const release = held(world);
  const first = world.room.goTo(3);
  await settled();
  const second = world.room.goTo(500);
  await settled();
  release();
  assert.deepEqual([await first, await second, world.room.target.value], [null, true, 500]);
});

test("what was to be shown and never was is forgotten when the room is opened again", async () => {
  const world = await inTheRoom(60);
  await world.room.goTo(40);
  world.room.enter();
  assert.equal(world.room.target.value, null);
});

test("an event that does not exist is gone to by nobody, and what was held stays", async () => {
  const world = await inTheRoom(30);
  assert.equal(await world.room.goTo(31), false);
  world.failing = true;
  const far = await inTheRoom(1_000);
  far.failing = true;
  await assert.rejects(far.room.goTo(3));
  assert.deepEqual([far.room.history.value, far.numbers()], ["idle", counting(951, 1_000)]);
});
