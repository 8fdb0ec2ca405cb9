// G1 and G2: what was acknowledged is kept, once, whenever the server is killed.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { Person, uuidv7 } from '../harness/http.mjs';
import { Sender, Senders, byFrames, byRest, dice, nothingIsLostOrDoubled, pause } from '../harness/senders.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

/** Kills; `make conformance` asks for more. */
const ROUNDS = Number(process.env.ROUNDS ?? 8);
const ROUND_MS_MAX = 900;

test('g1_every_acknowledged_message_survives_sigkill_at_random_moments', { timeout: 60_000 + ROUNDS * 10_000 }, async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  const random = dice(seed);
  const server = await Server.start();
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const room = ana.room.id;
  const people = [ana, await Person.invited(ana), await Person.invited(ana), await Person.invited(ana)];
  const senders = new Senders(t, people.flatMap((person) => [
    new Sender(`${person.name} rest`, byRest(person, room)),
    new Sender(`${person.name} rpc`, byFrames(person, room)),
  ]));
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = senders.acknowledged.length;
    await until('people post', () => senders.acknowledged.length >= before + 15);
    await pause(random() * ROUND_MS_MAX);
    await server.restart();
  }
  await senders.stop();

  await nothingIsLostOrDoubled(ana, room, senders, `seed ${seed}:`);
  const [acknowledged, repeats] = [senders.acknowledged.length, senders.refused.length];
  t.diagnostic(`seed ${seed}: ${acknowledged} acknowledged, ${repeats} repeats, ${ROUNDS} kills`);
  assert.ok(acknowledged > 100 && repeats > 0, 'the kills met senders at work');
});

test('g2_a_hundred_repeats_at_once_are_one_message_before_and_after_a_restart', async (t) => {
  const server = await Server.start();
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const room = ana.room.id;
  const clientId = uuidv7();
  const socket = await Frames.person(ana);
  const repeat = () => Promise.all([
    ...Array.from({ length: 80 }, () => ana.say(room, 'once', clientId)),
    ...Array.from({ length: 20 }, () => socket.rpc('post', { room, client_id: clientId, body: 'once' }).then(({ rpc }) => ({ status: 200, json: rpc.data }))),
  ]);

  const first = await repeat();
  assert.deepEqual([...new Set(first.map((answer) => JSON.stringify(answer.json)))].length, 1);
  assert.ok(first.filter((answer) => answer.status === 201).length <= 1);
  assert.equal((await ana.say(room, 'another body', clientId)).status, 409);
  assert.equal((await socket.rpc('post', { room, client_id: clientId, body: 'another body' })).error.code, 409);

  await server.restart();
  const again = await Promise.all(Array.from({ length: 100 }, () => ana.say(room, 'once', clientId)));
  for (const answer of again) {
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json, first[0].json);
  }
  assert.equal((await ana.say(room, 'another body', clientId)).status, 409);
  const elsewhere = await ana.createRoom('Elsewhere');
  assert.equal((await ana.say(elsewhere.id, 'once', clientId)).status, 409);
  assert.equal((await ana.events(room)).filter((event) => event.type === 'message.posted').length, 1);
});

test('g1_how_far_somebody_has_read_survives_sigkill_once_it_is_acknowledged', async (t) => {
  const server = await Server.start();
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const ben = await Person.invited(ana);
  const room = ana.room.id;
  for (let n = 0; n < 10; n += 1) await ana.say(room, `number ${n}`);
  const { read: joined } = (await ben.get(`/v1/rooms/${room}`)).json;
  for (const [body, expected] of [
    [{ number: joined + 4 }, { read: joined + 4, unread: 6 }],
    [{ number: joined + 1, unread: true }, { read: joined + 1, unread: 9 }],
    [{ number: joined + 10 }, { read: joined + 10, unread: 0 }],
  ]) {
    const { status, json } = await ben.put(`/v1/rooms/${room}/read`, body);
    assert.deepEqual([status, json.read, json.unread], [200, expected.read, expected.unread]);
    await server.restart();
    const { read, unread } = (await ben.get(`/v1/rooms/${room}`)).json;
    assert.deepEqual({ read, unread }, expected);
  }
});
