// G1 and G2: what was acknowledged is kept, once, whenever the server is killed.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { Person, uuidv7 } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';

/** Kills; `make conformance` asks for more. */
const ROUNDS = Number(process.env.ROUNDS ?? 8);
const ROUND_MS_MAX = 900;

/** Random, and repeatable: the seed is in every message of a failure. */
function dice(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Posts without end over one way; what was acknowledged is in `acknowledged`, what was not is sent again under its id. */
class Sender {
  acknowledged = [];
  repeats = 0;

  constructor(person, room, way) {
    Object.assign(this, { person, room, way });
  }

  async run(stopped) {
    for (let n = 0; !stopped(); n += 1) await this.#deliver({ clientId: uuidv7(), body: `${this.person.name} ${this.way} ${n}` });
  }

  async #deliver(message) {
    for (;;) {
      const answer = await this.#send(message).catch(() => null);
      if (answer !== null) {
        this.acknowledged.push({ ...message, ...answer });
        return;
      }
      this.repeats += 1;
      await pause(20);
    }
  }

  async #send({ clientId, body }) {
    if (this.way === 'rest') {
      const { status, json } = await this.person.say(this.room, body, clientId);
      return status === 201 || status === 200 ? json : null;
    }
    if (!this.socket || this.socket.code !== undefined) this.socket = await Frames.person(this.person);
    const { rpc } = await this.socket.rpc('post', { room: this.room, client_id: clientId, body });
    return rpc?.data ?? null;
  }
}

test('g1_every_acknowledged_message_survives_sigkill_at_random_moments', { timeout: 60_000 + ROUNDS * 10_000 }, async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  const random = dice(seed);
  const server = await Server.start();
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const room = ana.room.id;
  const people = [ana, await Person.invited(ana), await Person.invited(ana), await Person.invited(ana)];
  const senders = people.flatMap((person) => [new Sender(person, room, 'rest'), new Sender(person, room, 'rpc')]);

  let stop = false;
  const running = senders.map((sender) => sender.run(() => stop));
  for (let round = 0; round < ROUNDS; round += 1) {
    await pause(50 + random() * ROUND_MS_MAX);
    await server.restart();
  }
  stop = true;
  await Promise.all(running);

  const acknowledged = senders.flatMap((sender) => sender.acknowledged);
  const stored = (await ana.events(room)).filter((event) => event.type === 'message.posted').map((event) => event.message);
  const byClientId = Map.groupBy ? Map.groupBy(stored, (message) => message.client_id) : group(stored);
  for (const { clientId, id, number, time, body } of acknowledged) {
    const found = byClientId.get(clientId) ?? [];
    assert.equal(found.length, 1, `seed ${seed}: "${body}", acknowledged as ${number}, is stored ${found.length} times`);
    assert.deepEqual([found[0].id, found[0].number, found[0].time, found[0].body], [id, number, time, body], `seed ${seed}`);
  }
  assert.equal(stored.length, acknowledged.length, `seed ${seed}: everything was delivered in the end, and once`);
  const numbers = (await ana.events(room)).map((event) => event.number);
  assert.deepEqual(numbers, numbers.map((_, index) => index + 1), `seed ${seed}: no gap in the numbers`);
  const repeats = senders.reduce((sum, sender) => sum + sender.repeats, 0);
  t.diagnostic(`seed ${seed}: ${acknowledged.length} acknowledged, ${repeats} repeats, ${ROUNDS} kills`);
  assert.ok(acknowledged.length > 100 && repeats > 0, 'the kills met senders at work');
  for (const sender of senders) sender.socket?.close();
});

function group(messages) {
  const groups = new Map();
  for (const message of messages) groups.set(message.client_id, [...(groups.get(message.client_id) ?? []), message]);
  return groups;
}

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
