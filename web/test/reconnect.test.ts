/** The reconnect cases that other chats get wrong: what the screen shows afterwards equals what happened. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BEN, World, seeded, settled } from "./world.ts";

const counting = (count: number, from = 1): number[] => Array.from({ length: count }, (_, i) => i + from);

async function inTheRoom(events = 3): Promise<World> {
  const world = new World({ events });
  world.connect();
  world.room.enter();
  await settled();
  return world;
}

test("case 1: a message deleted while the client was away vanishes from its screen", async () => {
  const world = await inTheRoom();
  world.cut();
  world.server.delete("m2");
  world.connect();
  await settled();
  assert.deepEqual(world.texts(), ["old 1", "(deleted)", "old 3"]);
});

test("case 2: more missed messages than one page leave no hole", async () => {
  const world = await inTheRoom();
  world.cut();
  for (let i = 0; i < 750; i++) world.server.post(BEN, `missed ${i}`);
  world.connect();
  world.server.post(BEN, "and one while catching up");
  await settled();
  assert.deepEqual(world.numbers(), counting(754));
  assert.deepEqual(world.texts(), world.server.texts());
});

test("case 2: after an absence too long to read through, the newest page stands without a hole, and older ones follow on demand", async () => {
  const world = await inTheRoom();
  world.cut();
  for (let i = 0; i < 5_000; i++) world.server.post(BEN, `missed ${i}`);
  world.connect();
  await settled();
  assert.deepEqual(world.numbers(), counting(50, 4_954));
  await world.room.loadOlder();
  assert.deepEqual(world.numbers(), counting(100, 4_904));
});

test("a message that arrives while the newest page is on its way is not lost", async () => {
  const world = await inTheRoom();
  world.cut();
  for (let i = 0; i < 1_500; i++) world.server.post(BEN, `missed ${i}`);
  let release = (): void => undefined;
  world.hold = new Promise((resolve) => (release = resolve));
  world.connect();
  world.server.post(BEN, "while the page was on its way");
  world.server.edit("m1500", "edited while the page was on its way");
  release();
  await settled();
  assert.deepEqual(world.numbers().slice(-2), [1_504, 1_505]);
  assert.deepEqual(world.texts(), world.server.texts().slice(-world.texts().length));
});

test("a newest page of other numbers than the subscription's takes nothing away", async () => {
  const world = await inTheRoom();
  world.cut();
  for (let i = 0; i < 1_500; i++) world.server.post(BEN, `missed ${i}`);
  const { server } = world;
  const page = server.page.bind(server);
  server.page = (at, limit) => ({ ...page(at, limit), epoch: "of before" });
  world.connect();
  await settled();
  assert.deepEqual(world.texts(), ["old 1", "old 2", "old 3"]);
  server.page = page;
  world.pass();
  await settled();
  assert.deepEqual(world.numbers(), counting(50, 1_454));
});

test("while requests fail there is one attempt at a time, later each time, and none for each live event", async () => {
  const world = await inTheRoom();
  world.cut();
  for (let i = 0; i < 500; i++) world.server.post(BEN, `missed ${i}`);
  world.failing = true;
  world.asked.length = 0;
  world.connect();
  for (let i = 0; i < 30; i++) {
    world.server.post(BEN, `live ${i}`);
    await settled();
  }
  assert.deepEqual([world.asked.length, world.waiting], [1, 1]);
  for (let i = 0; i < 5; i++) {
    world.pass();
    await settled();
    assert.deepEqual([world.asked.length, world.waiting], [i + 2, 1]);
  }
  world.failing = false;
  world.pass();
  await settled();
  assert.equal(world.waiting, 0);
  assert.deepEqual(world.numbers(), counting(533));
});

test("a new connection does not wait for what is under way on the one before", async () => {
  const world = await inTheRoom();
  world.cut();
  for (let i = 0; i < 500; i++) world.server.post(BEN, `missed ${i}`);
  world.hold = new Promise(() => undefined);
  world.connect();
  await settled();
  world.cut();
  world.hold = null;
  world.connect();
  await settled();
  assert.deepEqual(world.numbers(), counting(503));
});

test("who reads further up keeps what is before them after a long absence, and gets the rest on the way down", async () => {
  const world = await inTheRoom(200);
  world.room.hold({ from: 160, to: 180 });
  world.cut();
  world.server.delete("m170");
  for (let i = 0; i < 3_000; i++) world.server.post(BEN, `missed ${i}`);
  world.asked.length = 0;
  world.connect();
  await settled();
  assert.equal(world.room.behind.value, true);
  assert.deepEqual([world.numbers()[0], world.asked.length], [160, 1], "the place is read again, and no more");
  assert.equal(world.texts()[170 - 160], "(deleted)", "what was deleted meanwhile is gone");
  world.server.edit("m165", "edited live");
  assert.equal(world.texts()[165 - 160], "edited live");
  for (let i = 0; i < 2_000; i++) world.server.post(BEN, `and on ${i}`);
  await settled();
  assert.equal(world.asked.length, 1, "live events ask for nothing");

  const { timeline } = world.room;
  for (let last = 0; last < timeline.last; ) {
    last = timeline.last;
    world.room.readOn();
    await settled();
  }
  const { length } = world.server.events;
  assert.deepEqual(world.numbers(), counting(length - 159, 160));
  assert.deepEqual(world.texts(), world.server.texts().slice(-world.texts().length));
});

test("who goes to the end after a long absence gets the newest page, and who goes up again before it comes keeps their place", async () => {
  const world = await inTheRoom(200);
  world.room.hold({ from: 160, to: 180 });
  world.cut();
  for (let i = 0; i < 3_000; i++) world.server.post(BEN, `missed ${i}`);
  world.connect();
  await settled();
  let release = (): void => undefined;
  world.hold = new Promise((resolve) => (release = resolve));
  world.room.hold(null);
  world.room.hold({ from: 170, to: 180 });
  release();
  await settled();
  assert.ok(world.numbers().includes(175));
  world.room.hold(null);
  await settled();
  assert.deepEqual(world.numbers(), counting(50, 3_151));
});

test("a page of the numbers before a restoration that comes late is not taken for one of the present ones", async () => {
  const world = await inTheRoom(200);
  let release = (): void => undefined;
  world.hold = new Promise((resolve) => (release = resolve));
  const late = world.room.loadOlder();
  world.cut();
  world.hold = null;
  world.server.events = [];
  world.server.epoch = "second";
  for (let i = 0; i < 4; i++) world.server.post(BEN, `restored ${i}`);
  world.connect();
  await settled();
  release();
  await late;
  await world.room.loadOlder();
  assert.deepEqual(world.texts(), ["restored 0", "restored 1", "restored 2", "restored 3"]);
  assert.equal(world.room.unread.value.count, 0);
});

test("case 3: two messages in the same millisecond both arrive, once", async () => {
  const world = await inTheRoom(0);
  world.server.post(BEN, "one", { time: 5 });
  const twin = world.server.post(BEN, "two", { time: 5 });
  world.deliver(twin);
  assert.deepEqual(world.texts(), ["one", "two"]);
});

test("case 4: a row stamped earlier but committed later arrives, in the order of commits", async () => {
  const world = await inTheRoom(0);
  world.server.post(BEN, "stamped late", { time: 2_000 });
  world.cut();
  world.server.post(BEN, "stamped early", { time: 1_000 });
  world.connect();
  await settled();
  assert.deepEqual(world.texts(), ["stamped late", "stamped early"]);
});

test("case 5: an edit to an old message arrives among many new messages", async () => {
  const world = await inTheRoom();
  world.cut();
  for (let i = 0; i < 200; i++) world.server.post(BEN, `new ${i}`);
  world.server.edit("m1", "old 1, in better words");
  for (let i = 200; i < 500; i++) world.server.post(BEN, `new ${i}`);
  world.connect();
  await settled();
  assert.equal(world.texts()[0], "old 1, in better words");
  assert.deepEqual(world.texts(), world.server.texts());
});

test("case 6: resuming after the server restarted gives the same answer, with nothing twice", async () => {
  const world = await inTheRoom();
  const before = world.server.events.at(-1)!;
  world.cut();
  world.server.post(BEN, "written after the restart");
  world.connect();
  world.deliver(before); // an answer that overlaps with what was known
  await settled();
  assert.deepEqual(world.texts(), ["old 1", "old 2", "old 3", "written after the restart"]);
});

test("case 7: history and the live subscription meet without gap or duplicate", async () => {
  const world = new World({ events: 10 });
  let release = (): void => undefined;
  world.hold = new Promise((resolve) => (release = resolve));
  world.connect();
  world.room.enter();
  world.server.post(BEN, "while the page was on its way");
  release();
  await settled();
  world.server.post(BEN, "afterwards");
  assert.deepEqual(world.numbers(), counting(12));
});

test("case 7: history that came before the subscription is completed up to it", async () => {
  const world = new World({ events: 10 });
  world.room.enter();
  await settled();
  for (let i = 0; i < 5; i++) world.server.post(BEN, `between page and subscription ${i}`);
  world.connect();
  await settled();
  assert.deepEqual(world.numbers(), counting(15));
  assert.deepEqual(world.texts(), world.server.texts());
});

test("a room restored from a backup starts anew instead of mixing two numberings", async () => {
  const world = await inTheRoom();
  world.cut();
  world.server.events = [];
  world.server.epoch = "second";
  for (let i = 0; i < 4; i++) world.server.post(BEN, `restored ${i}`);
  world.connect();
  await settled();
  assert.deepEqual(world.texts(), ["restored 0", "restored 1", "restored 2", "restored 3"]);
});

test("events of a type this client does not know still count", async () => {
  const world = await inTheRoom(1);
  world.server.unknown();
  world.server.post(BEN, "after it");
  assert.deepEqual(world.numbers(), [1, 2, 3]);
  assert.deepEqual(world.texts(), ["old 1", "after it"]);
});

test("my message shows once, whether its event or its answer comes first", async () => {
  const world = await inTheRoom(0);
  world.outbox.add(world.room.id, "mine", Date.now());
  await settled();
  assert.deepEqual(world.rows().map(({ body, state, number }) => [body, state, number]), [["mine", "sent", 1]]);
  assert.equal(world.outbox.in(world.room.id).length, 0);
});

test("what was written offline follows what was missed, in the order written, once", async () => {
  const world = await inTheRoom(1);
  world.cut();
  for (const text of ["a", "b", "c"]) world.outbox.add(world.room.id, text, Date.now());
  world.server.post(BEN, "meanwhile");
  assert.deepEqual(world.rows().map(({ state }) => state), ["sent", "pending", "pending", "pending"]);
  world.connect();
  await settled();
  assert.deepEqual(world.texts(), ["old 1", "meanwhile", "a", "b", "c"]);
  assert.deepEqual(world.rows().map(({ number }) => number), [1, 2, 3, 4, 5]);
});

test("whatever happens to the link, the screen equals the server in the end", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seeded(seed);
    const world = new World({ events: Math.floor(random() * 120) });
    for (let step = 0; step < 120; step++) {
      const choice = random();
      const posted = world.server.events.filter((event) => event.type === "message.posted");
      const some = posted[Math.floor(random() * posted.length)]?.message?.id;
      if (choice < 0.45) world.server.post(BEN, `seed ${seed} step ${step}`);
      else if (choice < 0.52 && some) world.server.edit(some, `edited in step ${step}`);
      else if (choice < 0.56 && some) world.server.delete(some);
      else if (choice < 0.6) world.server.unknown();
      else if (choice < 0.68) world.outbox.add(world.room.id, `mine ${step}`, 1_700_000_000_000 + step);
      else if (choice < 0.76) world.cut();
      else if (choice < 0.86) world.connect();
      else if (choice < 0.9) world.room.enter();
      else if (choice < 0.94) void world.room.loadOlder();
      else if (choice < 0.97) for (let i = 0; i < 320; i++) world.server.post(BEN, `burst ${step} ${i}`);
      else await settled();
    }
    world.connect();
    await settled();
    world.room.hold(null); // as whoever goes to the end
    await settled();
    while (world.room.timeline.hasOlder) {
      await world.room.loadOlder();
      await settled();
    }
    assert.deepEqual(world.numbers(), counting(world.server.events.length), `seed ${seed}: every number once`);
    assert.deepEqual(world.texts(), world.server.texts(), `seed ${seed}: every text as it is now`);
    assert.equal(world.outbox.size, 0, `seed ${seed}: nothing left unsent`);
  }
});

test("what others said counts as unread until it is read, and my own words do not", async () => {
  const world = new World({ events: 5, lastRead: 3 });
  world.connect();
  await settled();
  assert.deepEqual(world.room.unread.value, { count: 2, more: false });
  world.outbox.add(world.room.id, "mine", Date.now());
  world.server.post(BEN, "one more");
  await settled();
  assert.deepEqual(world.room.unread.value, { count: 3, more: false });
  world.room.enter();
  await settled();
  for (const number of [4, 5, 7]) world.room.reading.saw(number);
  await settled();
  world.pass();
  await settled();
  assert.deepEqual(world.room.unread.value, { count: 0, more: false });
  assert.equal(world.read, 7);
});

test("a page that failed is asked for again by itself, or at once by whoever does not want to wait", async () => {
  for (const again of [(world: World) => world.pass(), (world: World) => void world.room.loadOlder()]) {
    const world = new World({ events: 5 });
    world.failing = true;
    world.room.enter();
    await settled();
    for (let i = 0; i < 3; i++) {
      assert.deepEqual([world.room.history.value, world.waiting], ["failed", 1]);
      world.pass();
      await settled();
    }
    world.failing = false;
    again(world);
    await settled();
    assert.deepEqual([world.numbers(), world.waiting], [counting(5), 0]);
  }
});
