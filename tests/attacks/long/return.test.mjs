// Everybody comes back at once to one room, as after a restart: each connects, subscribes with its last position and asks
// who is there, as the page does.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../../harness/frames.mjs';
import { Person } from '../../harness/http.mjs';
import { Server } from '../../harness/server.mjs';

/** Clients in all; `CLIENTS=2000` for a smaller crowd. */
const CLIENTS = Number(process.env.CLIENTS ?? 10_000);
/** Connections of one person, of 300 that it may have. */
const EACH = 250;
const SECONDS_MAX = 180;

test(`${CLIENTS} clients that return to one room at once are all served`, { timeout: (SECONDS_MAX + 120) * 1_000 }, async (t) => {
  const server = await Server.start({ args: ['--rate-limits', 'false'] });
  t.after(() => server.kill());
  const people = [await Person.setUp(server)];
  while (people.length * EACH < CLIENTS) people.push(await Person.invited(people[0]));
  const [ana] = people;
  const channel = `room:${ana.room.id}`;
  for (let n = 0; n < 20; n += 1) assert.equal((await ana.say(ana.room.id, `line ${n}`)).status, 201);
  const first = await Frames.person(ana);
  const { offset, epoch } = (await first.subscribe(channel)).subscribe;
  first.close();
  for (let n = 0; n < 20; n += 1) assert.equal((await ana.say(ana.room.id, `missed ${n}`)).status, 201);

  const before = { cpu: server.cpu, resident: server.resident, began: performance.now() };
  const deadline = before.began + SECONDS_MAX * 1_000;
  const url = server.websocketUrl;
  let [served, again, listed, refused] = [0, 0, 0, 0];
  const sockets = [];
  /** One device: it comes back until it is served, as clients do. */
  const come = async (person) => {
    while (performance.now() < deadline) {
      try {
        const frames = await Frames.open(url, { headers: { cookie: person.cookie, origin: server.url } });
        sockets.push(frames);
        const [connected, subscribed, presence] = await Promise.all([
          frames.ask({ connect: {} }),
          frames.ask({ subscribe: { channel, recover: true, offset, epoch, join_leave: true } }),
          frames.ask({ presence: { channel } }),
        ]);
        if (connected.connect && subscribed.subscribe?.recovered) {
          assert.equal(subscribed.subscribe.publications.length, 20);
          served += 1;
          if (presence.presence) listed += 1;
          else refused += 1;
          return;
        }
        frames.close();
      } catch { /* it was turned away */ }
      again += 1;
      await new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 800));
    }
  };
  const waiting = Array.from({ length: CLIENTS }, (_, n) => people[n % people.length]);
  // So many at a time, which is what one machine can open; to the server it is all at once.
  await Promise.all(Array.from({ length: 500 }, async () => {
    while (waiting.length > 0 && performance.now() < deadline) await come(waiting.pop());
  }));
  const seconds = (performance.now() - before.began) / 1_000;
  t.diagnostic(`${served} of ${CLIENTS} served in ${seconds.toFixed(1)} s, ${again} tries more; ${(server.cpu - before.cpu).toFixed(1)} s of CPU; ${before.resident.toFixed(0)} MiB before, ${server.peak.toFixed(0)} at the peak; who is there was listed ${listed} times and refused ${refused} times`);
  assert.equal(served, CLIENTS);
  assert.ok(server.alive);
  for (const frames of sockets) frames.socket.terminate();
});
