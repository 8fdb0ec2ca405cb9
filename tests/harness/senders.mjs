// People who post without end, and what must be true of it afterwards: G1, G2 and G3.

import assert from 'node:assert/strict';

import { Frames } from './frames.mjs';
import { uuidv7 } from './http.mjs';

/** For what may only be waited for by the clock, such as a random moment. */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Random, and repeatable: the seed is in every message of a failure. */
export function dice(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

// The ways of posting. Each gives the acknowledgement, or throws what the sender was told instead.

/** Over REST. */
export const byRest = (person, room) => async ({ clientId, body }) => {
  const { status, headers, json } = await person.say(room, body, clientId);
  if (status === 201 || status === 200) return json;
  throw Object.assign(new Error(`status ${status}`), { status, headers, json, temporary: status === 503 });
};

/** Over the wire by hand, with another socket where the last has closed. */
export function byFrames(person, room) {
  let socket;
  return async ({ clientId, body }) => {
    if (!socket || socket.code !== undefined) socket = await Frames.person(person);
    const answer = await socket.rpc('post', { room, client_id: clientId, body });
    if (answer.rpc) return answer.rpc.data;
    throw answer.error ?? new Error(`closed with ${answer.closed}`);
  };
}

/** With the stock SDK, which connects again by itself. */
export const bySdk = (centrifuge, room) => async ({ clientId, body }) =>
  (await centrifuge.rpc('post', { room, client_id: clientId, body })).data;

/** Posts without end; what was not acknowledged is sent again under its id. */
export class Sender {
  /** `{ clientId, body, id, number, time }` of each message that is known to be stored. */
  acknowledged = [];
  /** `{ after, error }` of each send that was not acknowledged, with the milliseconds until that was known. */
  refused = [];

  constructor(name, send, { every = 0, again = 20 } = {}) {
    Object.assign(this, { name, send, every, again });
  }

  /** Until `stopped` says 'once delivered', or 'at once'. */
  async run(stopped) {
    for (let n = 0; !stopped(); n += 1) {
      await this.#deliver({ clientId: uuidv7(), body: `${this.name} ${n}` }, stopped);
      if (this.every > 0) await pause(this.every);
    }
  }

  async #deliver(message, stopped) {
    while (stopped() !== 'at once') {
      const began = performance.now();
      try {
        this.acknowledged.push({ ...message, ...(await this.send(message)) });
        return;
      } catch (error) {
        this.refused.push({ after: performance.now() - began, error });
      }
      await pause(this.again);
    }
  }
}

/** Several senders at work in one room, until `stop`, or until the test is over. */
export class Senders {
  #stopped = false;
  #running;

  constructor(t, senders) {
    this.all = senders;
    this.#running = Promise.all(senders.map((sender) => sender.run(() => this.#stopped)));
    t.after(() => (this.#stopped = 'at once'));
  }

  /** No more messages; those on their way are sent until they are acknowledged. */
  async stop() {
    this.#stopped = 'once delivered';
    await this.#running;
  }

  get acknowledged() {
    return this.all.flatMap((sender) => sender.acknowledged);
  }
  get refused() {
    return this.all.flatMap((sender) => sender.refused);
  }
}

/**
 * Everything that was acknowledged is in the room once, as it was acknowledged, and nothing else; numbers have no gap.
 * For senders that were stopped, in a room in which nobody else has posted. Returns the room's events.
 */
export async function nothingIsLostOrDoubled(person, room, { acknowledged }, hint = '') {
  const events = await person.events(room);
  const stored = new Map();
  for (const { type, message } of events) {
    if (type === 'message.posted') stored.set(message.client_id, [...(stored.get(message.client_id) ?? []), message]);
  }
  for (const { clientId, id, number, time, body } of acknowledged) {
    const found = stored.get(clientId) ?? [];
    assert.equal(found.length, 1, `${hint} "${body}", acknowledged as ${number}, is stored ${found.length} times`);
    assert.deepEqual([found[0].id, found[0].number, found[0].time, found[0].body], [id, number, time, body], hint);
  }
  assert.equal(stored.size, acknowledged.length, `${hint} everything was delivered in the end, and once`);
  assert.deepEqual(events.map((event) => event.number), events.map((_, index) => index + 1), `${hint} no gap in the numbers`);
  return events;
}
