// Two servers on one database, which is refused but for tests: order, one message for each send and revocation hold across
// them, also when one is killed or frozen or has lost its line to Postgres.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { Person, uuidv7 } from '../harness/http.mjs';
import { Postgres, noCluster } from '../harness/postgres.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Reader } from '../harness/reader.mjs';
import { clientOf } from '../harness/sdk.mjs';
import { Sender, Senders, byFrames, byRest, nothingIsLostOrDoubled } from '../harness/senders.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

/** Within this a sender is answered; what another node has committed is delivered well before. */
const ANSWER_MS = 10_000;
const SLACK_MS = 1_500;
const CONFIG = 'rate_limits = false\n';

const postgres = await Postgres.start();
const skip = !postgres && noCluster;
const spec = (name, body) => test(name, { skip, timeout: 120_000 }, body);

/** The same person, of another server: a session is one of the database. */
function at(server, person) {
  const { cookie, server: _, ...known } = person;
  return Object.assign(new Person(server, cookie), known);
}

/** Two servers, the second with a line to Postgres that can be cut, and a room with three people. */
class World {
  /** Of the messages of `say`, what was acknowledged. */
  said = [];

  static async start(t) {
    const world = new World();
    world.line = await Proxy.to(postgres.port);
    const database = await postgres.database({ shared: 'for-tests' });
    const other = Object.assign(new URL(database), { port: world.line.port }).href;
    world.a = await Server.start({ database, config: CONFIG });
    t.after(() => world.a.kill());
    world.b = await Server.start({ database: other, config: CONFIG });
    t.after(() => world.b.kill());
    t.after(() => world.line.close());
    world.ana = await Person.setUp(world.a);
    world.room = world.ana.room.id;
    world.people = [world.ana, await Person.invited(world.ana), await Person.invited(world.ana)];
    return Object.assign(world, { t });
  }

  reader(server, person = this.ana) {
    return Reader.of(clientOf(this.t, at(server, person)), at(server, person), this.room);
  }

  /** Somebody new, with a socket at the second server that hears the room. */
  async listener() {
    const person = await Person.invited(this.ana);
    const socket = await Frames.person(at(this.b, person));
    const { subscribe, error } = await socket.subscribe(`room:${this.room}`, { recoverable: true });
    assert.ok(subscribe, JSON.stringify(error));
    return { person, socket, position: subscribe, heard: [] };
  }

  /** Posts, and again if it must be. */
  async say(server, body) {
    const message = { clientId: uuidv7(), body };
    const { json } = await until('it is posted', async () => {
      const answer = await at(server, this.ana).say(this.room, body, message.clientId);
      return [200, 201].includes(answer.status) && answer;
    });
    this.said.push({ ...message, ...json });
  }

  /** Takes somebody out, and says through which server what they must not hear; returns the number of the event. */
  async remove(listener, through = this.a) {
    const { id, name } = listener.person;
    await until('they are out', async () => [204, 404].includes((await at(through, this.ana).delete(`/v1/rooms/${this.room}/members/${id}`)).status));
    for (let n = 0; n < 5; n += 1) await this.say(through, `after ${name} ${n}`);
    return (await at(through, this.ana).events(this.room)).find((event) => event.type === 'member.left' && event.member.id === id).number;
  }

  /** They are told that they are out, and have heard nothing that came after. */
  async isOut(listener, number) {
    const { socket, person, position } = listener;
    await until('they are told', () => {
      for (const line of socket.take()) {
        if (line.push?.unsubscribe || line.closed) listener.told = true;
        if (line.push?.channel === `room:${this.room}` && line.push.pub?.offset) listener.heard.push(line.push.pub.offset);
      }
      return listener.told || socket.code !== undefined;
    });
    assert.deepEqual(listener.heard.filter((heard) => heard > number), []);
    const again = await Frames.person(at(this.b, person));
    for (const more of [{}, { recover: true, offset: position.offset, epoch: position.epoch }]) {
      assert.equal((await again.subscribe(`room:${this.room}`, more)).error?.code, 103);
    }
    assert.equal((await at(this.b, person).get(`/v1/rooms/${this.room}/events`)).status, 404);
    again.close();
    socket.close();
  }

  /** Everybody posts, at the given servers. */
  talk(servers = [this.a, this.b]) {
    this.senders = new Senders(this.t, servers.flatMap((server) => this.people.flatMap((person) => [
      Object.assign(new Sender(`${person.name} rest`, byRest(at(server, person), this.room), { every: 10 }), { server }),
      Object.assign(new Sender(`${person.name} rpc`, byFrames(at(server, person), this.room), { every: 10 }), { server }),
    ])));
    return this.atWork();
  }

  atWork(servers = [this.a, this.b], count = 5) {
    const senders = this.senders.all.filter((sender) => servers.includes(sender.server));
    const before = senders.map((sender) => sender.acknowledged.length);
    return until('everybody posts', () => senders.every((sender, n) => sender.acknowledged.length >= before[n] + count), { timeout: 15_000 });
  }

  /** `served` are the servers whose senders were answered in time all the while. */
  async isWhole(readers, served = [this.a, this.b]) {
    await this.senders.stop();
    const events = await nothingIsLostOrDoubled(this.ana, this.room, { acknowledged: [...this.said, ...this.senders.acknowledged] });
    assert.deepEqual(await at(this.b, this.ana).events(this.room), events, 'both tell the same');
    for (const reader of readers) {
      await reader.upTo(events.length);
      assert.deepEqual(reader.shown, events, 'each event once, in order');
    }
    for (const { server, refused } of this.senders.all) {
      if (!served.includes(server)) continue;
      for (const { after, error } of refused) assert.ok(after < ANSWER_MS + SLACK_MS && error.temporary, `after ${after} ms: ${JSON.stringify(error)}`);
    }
    this.t.diagnostic(`${this.senders.acknowledged.length} acknowledged, ${this.senders.refused.length} refused`);
  }
}

spec('a second server on one database is refused without the word for tests, and the first is named', async (t) => {
  const database = await postgres.database();
  const first = await Server.start({ database });
  t.after(() => first.kill());
  const said = await new Server({ database }).start().then(() => 'it started', (error) => error.message);
  assert.match(said, /the server ended with 1/);
  assert.ok(said.includes(`process ${first.pid}`), said);
  assert.equal((await first.stop()), 0);
  const second = await Server.start({ database });
  await second.kill();
});

spec('a second server waits for the first to stop', async (t) => {
  const database = await postgres.database();
  const first = await Server.start({ database });
  t.after(() => first.kill().catch(() => {}));
  const second = new Server({ database });
  const started = second.start();
  t.after(() => second.kill().catch(() => {}));
  const here = () => postgres.query('SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = $1', { values: [new URL(database).pathname.slice(1)] });
  await until('both are connected', async () => (await here()).length === 2);
  assert.equal(await first.stop(), 0);
  await started;
  await second.setupCode();
});

spec('g3_two_servers_tell_one_order: live at both, by number, without gaps', async (t) => {
  const world = await World.start(t);
  const readers = await Promise.all([world.a, world.b].flatMap((server) => world.people.slice(1).map((person) => world.reader(server, person))));
  await world.talk();
  await world.atWork(undefined, 40);
  await world.isWhole(readers);
});

spec('g2_the_same_send_at_both_servers_at_once_is_one_message_with_one_answer', async (t) => {
  const world = await World.start(t);
  const readers = await Promise.all([world.a, world.b].map((server) => world.reader(server)));
  const twice = (person) => {
    const ways = [world.a, world.b].flatMap((server) => [byRest(at(server, person), world.room), byFrames(at(server, person), world.room)]);
    return async (message) => {
      const answers = await Promise.all(ways.map((way) => way(message)));
      for (const answer of answers) assert.deepEqual(answer, answers[0]);
      return answers[0];
    };
  };
  world.senders = new Senders(t, world.people.map((person) => Object.assign(new Sender(person.name, twice(person)), { server: world.a })));
  await world.atWork([world.a], 50);
  assert.deepEqual(world.senders.refused, []);
  await world.isWhole(readers);
});

spec('g5_whoever_was_removed_through_one_server_hears_nothing_later_at_the_other', async (t) => {
  const world = await World.start(t);
  await world.talk();
  for (let round = 0; round < 8; round += 1) {
    const listener = await world.listener();
    await listener.socket.until('the talk is heard', (line) => line.push?.pub?.offset && listener.heard.push(line.push.pub.offset));
    await world.isOut(listener, await world.remove(listener, [world.a, world.b][round % 2]));
  }
  await world.senders.stop();
});

spec('g5_whoever_signed_out_through_one_server_hears_nothing_later_at_the_other', async (t) => {
  const world = await World.start(t);
  for (let round = 0; round < 5; round += 1) {
    const { person, socket } = await world.listener();
    assert.equal((await person.delete('/v1/session')).status, 204);
    for (const server of [world.a, world.b]) for (let n = 0; n < 3; n += 1) await world.say(server, `after ${round} ${n}`);
    const { code } = await socket.closed();
    assert.ok(code >= 3500 && code < 4000, `final: ${code}`);
    const later = socket.take().filter((line) => line.push?.pub?.data?.message?.body.startsWith('after'));
    assert.deepEqual(later, []);
    assert.equal((await at(world.b, person).get('/v1/me')).status, 401);
  }
});

spec('g1_a_server_that_is_killed_again_and_again_leaves_the_other_whole', async (t) => {
  const world = await World.start(t);
  const readers = await Promise.all([world.a, world.b].map((server) => world.reader(server)));
  await world.talk();
  for (let round = 0; round < 4; round += 1) {
    const [victim, other] = round % 2 === 0 ? [world.a, world.b] : [world.b, world.a];
    await victim.kill();
    await world.atWork([other]);
    await victim.start();
    await world.atWork();
  }
  await world.isWhole(readers, []);
});

spec('g5_a_server_that_was_frozen_delivers_nothing_to_whoever_was_removed_meanwhile', async (t) => {
  const world = await World.start(t);
  const readers = await Promise.all([world.a, world.b].map((server) => world.reader(server)));
  await world.talk();
  for (let round = 0; round < 4; round += 1) {
    const listener = await world.listener();
    process.kill(world.b.pid, 'SIGSTOP');
    try {
      // It may hold rows, for as long as Postgres leaves them to it.
      await world.atWork([world.a]);
      listener.number = await world.remove(listener);
    } finally {
      process.kill(world.b.pid, 'SIGCONT');
    }
    await world.isOut(listener, listener.number);
    await world.atWork();
  }
  await world.isWhole(readers, [world.a]);
});

for (const [how, cut, restore] of [
  ['was cut', (line) => line.cut(), (line) => line.restore()],
  ['swallows everything', (line) => line.blackHole(), (line) => line.abandon()],
]) {
  spec(`g5_a_server_whose_line_to_postgres ${how} delivers everything later, and nothing to whoever was removed meanwhile`, async (t) => {
    const world = await World.start(t);
    const readers = await Promise.all([world.a, world.b].map((server) => world.reader(server)));
    await world.talk();
    for (let round = 0; round < 2; round += 1) {
      const listener = await world.listener();
      cut(world.line);
      await world.atWork([world.a]);
      const number = await world.remove(listener);
      restore(world.line);
      await world.isOut(listener, number);
      await world.atWork();
    }
    await world.isWhole(readers, [world.a]);
  });
}
