// A thousand clients in one room of the chat (3.1).

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

const CLIENTS = 1_000;
const AT_ONCE = 50;

test('a thousand clients of one room receive every message once, in order', { timeout: 120_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const people = [ana, await Person.invited(ana), await Person.invited(ana), await Person.invited(ana)];
  const channel = `room:${ana.room.id}`;
  const clients = [];
  while (clients.length < CLIENTS) {
    clients.push(...(await Promise.all(Array.from({ length: AT_ONCE }, async (_, n) => {
      const client = await Frames.person(people[n % people.length]);
      const { subscribe, error } = await client.subscribe(channel);
      assert.ok(subscribe, JSON.stringify(error));
      return client;
    }))));
  }
  const sent = [];
  for (let n = 0; n < 40; n += 1) {
    const { status, json } = await people[n % people.length].say(ana.room.id, `message ${n}`);
    assert.equal(status, 201);
    sent.push(json.number);
  }
  const received = clients.map(() => []);
  await until('everyone has everything', () => {
    clients.forEach((client, n) => received[n].push(...client.take().filter((line) => line.push?.pub?.offset).map((line) => line.push.pub.offset)));
    return received.every((numbers) => numbers.length >= sent.length);
  }, { timeout: 60_000 });
  for (const numbers of received) assert.deepEqual(numbers, sent);
  const { presence_stats: stats } = await clients[0].ask({ presence_stats: { channel } });
  assert.deepEqual(stats, { num_clients: CLIENTS, num_users: people.length });
  for (const client of clients) client.socket.terminate();
});
