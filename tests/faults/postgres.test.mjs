// Postgres goes away and comes back: readiness says so, senders are told to try again and never that something is stored
// which is not, and nobody does anything.

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { fill } from '../harness/disk.mjs';
import { Person, request } from '../harness/http.mjs';
import { Postgres, noCluster, query } from '../harness/postgres.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Reader } from '../harness/reader.mjs';
import { clientOf } from '../harness/sdk.mjs';
import { Sender, Senders, byRest, bySdk, nothingIsLostOrDoubled, pause } from '../harness/senders.mjs';
import { Server, run, temporaryFolder } from '../harness/server.mjs';
import { until, within } from '../harness/wait.mjs';

/** Within this a sender is answered, whatever Postgres does; and more than that for a busy machine. */
const ANSWER_MS = 10_000;
const SLACK_MS = 1_500;
/** Within this after Postgres is back, everything is as before. */
const BACK_MS = 15_000;
/** The SDK waits longer than the server, so that what a sender is told is the server's own word. */
const PATIENT = { timeout: 60_000 };

const postgres = await Postgres.start();
const skip = !postgres && noCluster;

/** A server with three people who post without end, over REST and with the stock SDK, and two who read. */
class World {
  static async start(t, { cluster = postgres, port, database, ...options } = {}) {
    const world = new World();
    // Whatever a test has left it in, the next finds it at work.
    t.after(() => cluster.mend());
    world.database = database ?? await cluster.database({ port });
    world.server = await Server.start({ database: world.database, config: 'rate_limits = false\n', ...options });
    t.after(() => world.server.kill());
    world.ana = await Person.setUp(world.server);
    world.room = world.ana.room.id;
    world.people = [world.ana, await Person.invited(world.ana), await Person.invited(world.ana)];
    world.readers = await Promise.all(world.people.slice(1).map((person) => Reader.of(clientOf(t, person), person, world.room)));
    world.pid = world.server.pid;
    return Object.assign(world, { t });
  }

  talk() {
    this.senders = new Senders(this.t, this.people.flatMap((person) => [
      new Sender(`${person.name} rest`, byRest(person, this.room), { every: 20 }),
      new Sender(`${person.name} sdk`, bySdk(clientOfConnected(this.t, person), this.room), { every: 20 }),
    ]));
    return this.atWork();
  }

  /** Everybody's messages are acknowledged, also those that are sent from now on. */
  atWork() {
    const before = this.senders.all.map((sender) => sender.acknowledged.length);
    return until('everybody posts', () => this.senders.all.every((sender, n) => sender.acknowledged.length >= before[n] + 3), { timeout: BACK_MS });
  }

  /** Each sender has been told at least once more that its message was not stored. */
  refused() {
    const before = this.senders.all.map((sender) => sender.refused.length);
    return until('everybody is told', () => this.senders.all.every((sender, n) => sender.refused.length > before[n]), { timeout: ANSWER_MS + SLACK_MS });
  }

  /** Whoever asks for something is told to come again, in time. */
  async readsAreRefused() {
    const asked = request(`${this.server.url}/v1/rooms/${this.room}/events`, { headers: { cookie: this.ana.cookie } });
    const { status, headers, text } = await within(ANSWER_MS + SLACK_MS, 'a reader is answered', asked);
    assert.equal(status, 503, text);
    assert.ok(Number(headers['retry-after']) > 0);
  }

  /** Somebody's page is opened while Postgres is away, and tries by itself until it has the room. */
  comesLate() {
    const [person] = this.people;
    const reader = new Reader(clientOf(this.t, person, undefined, { ...PATIENT, timeout: 2_000 }), person, this.room);
    reader.subscription.subscribe();
    reader.centrifuge.connect();
    return until('it is there', () => reader.subscription.state === 'subscribed' && reader, { timeout: BACK_MS + ANSWER_MS });
  }

  readyz() {
    return within(ANSWER_MS + SLACK_MS, 'readiness is answered', request(`${this.server.url}/readyz`));
  }

  notReady(word = /database/) {
    return until('readiness says that the database is away', async () => {
      const { status, text } = await this.readyz();
      return status === 503 && word.test(text);
    }, { timeout: ANSWER_MS + SLACK_MS });
  }

  ready() {
    return until('readiness says that all is well', async () => (await this.readyz()).status === 200, { timeout: BACK_MS });
  }

  /**
   * What must be true after all of it. `full`: of a disk that is full senders are told so. `sentAway`: all were told to
   * connect again, of which the SDK makes errors of its own, below 100.
   */
  async isWhole({ full = false, sentAway = false } = {}) {
    await this.senders.stop();
    const events = await nothingIsLostOrDoubled(this.ana, this.room, this.senders);
    for (const reader of this.readers) {
      await reader.upTo(events.length);
      assert.deepEqual(reader.shown, events, 'subscribers got each event once, in order');
    }
    const { refused } = this.senders;
    for (const { after, error } of refused) {
      assert.ok(after < ANSWER_MS + SLACK_MS, `a sender waited ${after.toFixed(0)} ms for ${error.message}`);
      const told = JSON.stringify([error.status, error.code, error.message, error.json]);
      const isFull = full && (error.status === 507 || error.code === 507);
      assert.ok(error.temporary || isFull || (sentAway && error.code < 100), `a sender was not told to try again: ${told}`);
    }
    assert.equal(this.server.pid, this.pid, 'nobody has started the server again');
    assert.ok(this.server.alive);
    const waits = refused.map(({ after }) => after);
    this.t.diagnostic(`${this.senders.acknowledged.length} acknowledged, ${refused.length} refused, the latest after ${Math.max(0, ...waits).toFixed(0)} ms`);
  }
}

const nameOf = (database) => new URL(database).pathname.slice(1);

function clientOfConnected(t, person) {
  const made = clientOf(t, person, undefined, PATIENT);
  made.connect();
  return made;
}

/** Postgres is away until everybody was told, and comes back. With `through`, the server speaks to it over a line of the test's. */
function comesBack(name, { through, away, back }) {
  test(`postgres_${name}: senders try again, and nothing is lost or doubled`, { skip, timeout: 120_000 }, async (t) => {
    const proxy = through && await Proxy.to(postgres.port);
    if (proxy) t.after(() => proxy.close());
    const world = await World.start(t, { port: proxy?.port });
    await world.talk();
    await away(proxy, world);
    await Promise.all([world.notReady(), world.refused(), world.readsAreRefused()]);
    const late = world.comesLate();
    await back(proxy, world);
    await world.ready();
    await world.atWork();
    world.readers.push(await late);
    await world.isWhole();
  });
}

comesBack('stopped_and_started', { away: () => postgres.stop(), back: () => postgres.again() });
comesBack('killed_at_once_and_started', { away: () => postgres.kill(), back: () => postgres.again() });
comesBack('behind_a_line_that_is_cut', { through: true, away: (proxy) => proxy.cut(), back: (proxy) => proxy.restore() });
// The connections from before stay open at Postgres, with whatever was begun in them.
comesBack('behind_a_line_that_swallows_everything', { through: true, away: (proxy) => proxy.blackHole(), back: (proxy) => proxy.abandon() });
comesBack('behind_a_line_that_loses_answers', { through: true, away: (proxy) => proxy.loseAnswers(), back: (proxy) => proxy.abandon() });
let eightSeconds;
comesBack('frozen_for_eight_seconds', {
  away() {
    postgres.freeze();
    eightSeconds = pause(8_000);
  },
  async back() {
    await eightSeconds;
    postgres.thaw();
  },
});
// As managed ones do when their disk is nearly full.
comesBack('that_takes_no_writes', {
  async away(_, { database }) {
    await postgres.query(`ALTER DATABASE ${nameOf(database)} SET default_transaction_read_only = on`);
    await postgres.endConnections(database);
  },
  async back(_, { database }) {
    await postgres.query(`ALTER DATABASE ${nameOf(database)} RESET default_transaction_read_only`);
  },
});

test('postgres_whose_tables_somebody_has_locked: senders try again, and nothing is lost or doubled', { skip, timeout: 60_000 }, async (t) => {
  const world = await World.start(t);
  await world.talk();
  const somebody = await postgres.session(nameOf(world.database));
  await somebody.query('BEGIN; LOCK TABLE tidings.rooms IN ACCESS EXCLUSIVE MODE');
  await world.refused();
  await somebody.end();
  await world.atWork();
  await world.ready();
  await world.isWhole();
});

for (const [how, away] of [['stopped', () => postgres.stop()], ['frozen', () => postgres.freeze()]]) {
  test(`postgres_${how}: a server that is told to stop meanwhile ends in its time`, { skip, timeout: 60_000 }, async (t) => {
    const world = await World.start(t);
    await world.talk();
    await away();
    await world.notReady();
    assert.equal(await world.server.stop(), 0);
  });
}

test('postgres_restarted_again_and_again_while_people_post: nothing is lost or doubled', { skip, timeout: 120_000 }, async (t) => {
  const world = await World.start(t);
  await world.talk();
  for (let round = 0; round < 4; round += 1) {
    await (round % 2 === 0 ? postgres.restart() : postgres.kill().then(() => postgres.again()));
    await world.atWork();
  }
  await world.ready();
  await world.isWhole();
});

test('postgres_ends_every_connection_again_and_again: nothing is lost or doubled', { skip, timeout: 120_000 }, async (t) => {
  const world = await World.start(t);
  await world.talk();
  for (let round = 0; round < 6; round += 1) {
    // Of those that it has just lost it may not have opened any yet.
    await until('a connection is ended', async () => (await postgres.endConnections(world.database)).length > 0);
    await world.atWork();
  }
  await world.ready();
  await world.isWhole();
});

test('postgres_loses_one_process_and_recovers_by_itself: nothing is lost or doubled', { skip, timeout: 120_000 }, async (t) => {
  const world = await World.start(t);
  await world.talk();
  for (let round = 0; round < 2; round += 1) {
    // All the others are ended with it, and the log is replayed.
    await postgres.killOne(world.database);
    await world.atWork();
  }
  await world.ready();
  await world.isWhole();
});

test('postgres_with_a_full_disk: senders are told, what was acknowledged stays, and it goes on when there is room', { skip, timeout: 120_000 }, async (t) => {
  const small = await Postgres.start({ disk: 160 });
  if (!small) return t.skip('a small disk needs root and mount');
  t.after(() => small.remove());
  const world = await World.start(t, { cluster: small });
  await world.talk();
  const taken = fill(small.dataDir);
  await Promise.all([world.notReady(/disk is full|database/), world.refused()]);
  // Whoever only reads is served.
  assert.equal((await world.ana.get(`/v1/rooms/${world.room}/events`)).status, 200);
  taken.free();
  await world.ready();
  await world.atWork();
  await world.isWhole({ full: true });
});

test('postgres_without_room_for_its_log_goes_down_and_is_started_when_there_is_room: nothing is lost or doubled', { skip, timeout: 120_000 }, async (t) => {
  const small = await Postgres.start({ disk: 160 });
  if (!small) return t.skip('a small disk needs root and mount');
  t.after(() => small.remove());
  const world = await World.start(t, { cluster: small });
  await world.talk();
  const taken = fill(small.dataDir);
  // More than is set aside for the log; what has no room there is the end of it.
  await assert.rejects(small.query("SELECT pg_logical_emit_message(false, 'test', repeat('x', 40 << 20))"));
  await small.gone();
  await Promise.all([world.notReady(), world.refused()]);
  taken.free();
  await small.again();
  await world.ready();
  await world.atWork();
  await world.isWhole({ full: true });
});

test('postgres_is_not_there_when_the_server_starts: it says so, without the password', { skip, timeout: 60_000 }, async (t) => {
  const database = await postgres.database();
  await postgres.stop();
  t.after(() => postgres.mend());
  const server = new Server({ database });
  const ended = await server.start().then(() => server.kill(), (error) => error.message);
  assert.match(ended, /the server ended with 1/);
  assert.ok(ended.includes(`127.0.0.1:${postgres.port}`), ended);
  assert.ok(!ended.includes(new URL(database).password), ended);
});

const said = (server, words) => server.stderr.split('\n').filter((line) => line.includes(words)).length;

test('postgres_away: texts to erase are spoken of where one waits, and once', { skip, timeout: 120_000 }, async (t) => {
  t.after(() => postgres.mend());
  const server = await Server.start({ database: await postgres.database() });
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const erasing = () => said(server, 'texts of deleted messages');
  await postgres.stop();
  await until('the log has spoken of the database again', () => said(server, 'the database cannot be had') >= 2, { timeout: 30_000 });
  assert.equal(erasing(), 0, server.stderr);
  await postgres.again();
  await until('it is back', async () => (await request(`${server.url}/readyz`)).status === 200, { timeout: BACK_MS });

  const { json: { id } } = await ana.say(ana.room.id, 'secret');
  assert.equal((await ana.delete(`/v1/rooms/${ana.room.id}/messages/${id}`)).status, 200);
  const somebody = await postgres.session(nameOf(server.database));
  // What waits can be seen, and not be erased.
  await somebody.query('BEGIN; LOCK TABLE tidings.messages IN SHARE MODE');
  await until('it is said', () => erasing() === 1, { timeout: 40_000 });
  const failed = said(server, 'writes failed');
  await until('it was tried again', () => said(server, 'writes failed') > failed, { timeout: 40_000 });
  assert.equal(erasing(), 1, server.stderr);
  await somebody.end();
  await until('it is erased', async () => !(await server.rows()).some(({ row }) => row.includes('secret')), { timeout: BACK_MS });
});

test('g4_a_standby_takes_over: nothing is lost, and everybody reads anew, by themselves', { skip, timeout: 120_000 }, async (t) => {
  const primary = await Postgres.start();
  t.after(() => primary.remove());
  const standby = await Postgres.start({ standbyOf: primary });
  t.after(() => standby.remove());
  // Then an acknowledgement waits for it.
  await primary.query("ALTER SYSTEM SET synchronous_standby_names = '*'");
  await primary.query('SELECT pg_reload_conf()');

  // The address names both; the one that takes writes is used.
  const database = (await primary.database()).replace(`:${primary.port}/`, `:${primary.port},127.0.0.1:${standby.port}/`);
  const world = await World.start(t, { database, cluster: primary });
  const epoch = async () => (await world.ana.get('/v1/rooms')).json.rooms.find(({ id }) => id === world.room).epoch;
  const before = await epoch();
  await world.talk();
  await primary.kill();
  await Promise.all([world.notReady(), world.refused()]);
  await standby.query('SELECT pg_promote()');
  await world.ready();
  await world.atWork();
  // Whether it had everything cannot be told from there.
  assert.notEqual(await epoch(), before);
  await world.isWhole({ sentAway: true });
  for (const reader of world.readers) assert.equal(reader.renewed, 1);
});

// ── Restored ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

const bodies = (events) => events.filter((event) => event.type === 'message.posted').map((event) => event.message.body);

const putBack = {
  async 'over the database'({ database }, file) {
    const { code, stderr } = await postgres.program('pg_restore', '--clean', '--if-exists', '--single-transaction', '--dbname', database, file);
    assert.equal(code, 0, stderr);
  },
  async 'into another database of the same name'({ database, server }, file) {
    const name = nameOf(database);
    const wasRunning = server.alive;
    await query(postgres.url('postgres'), `DROP DATABASE ${name} WITH (FORCE)`);
    if (wasRunning) {
      // Nobody but an operator can help a server whose database is gone.
      await until('it ends, with a word', () => !server.alive && /does not exist/.test(server.stderr));
      await server.kill();
    }
    await query(postgres.url('postgres'), `CREATE DATABASE ${name}`);
    const { code, stderr } = await postgres.program('pg_restore', '--dbname', database, file);
    assert.equal(code, 0, stderr);
  },
};

for (const [how, put] of Object.entries(putBack)) {
  for (const running of [false, true]) {
    const name = `g4_a_dump_restored ${how}, ${running ? 'while the server runs' : 'before the server starts'}: nobody resumes into the hole`;
    test(name, { skip, timeout: 120_000 }, async (t) => {
      const world = await World.start(t);
      const { server, ana, room } = world;
      const [reader] = world.readers;
      const say = async (...texts) => {
        for (const text of texts) {
          const { status, json } = await until('it is posted', async () => {
            const answer = await ana.say(room, text);
            return answer.status === 201 && answer;
          });
          assert.equal(status, 201);
          world.last = json.number;
        }
      };
      const epoch = async () => (await ana.get('/v1/rooms')).json?.rooms.find(({ id }) => id === room).epoch;

      await say('one', 'two');
      const first = await epoch();
      const file = join(temporaryFolder(), 'dump');
      const dumped = await postgres.program('pg_dump', '--format=custom', '--file', file, world.database);
      assert.equal(dumped.code, 0, dumped.stderr);
      await say('three', 'four');
      await reader.upTo(world.last);
      if (!running) await server.kill();
      await put(world, file);
      if (server.alive) await postgres.endConnections(world.database);
      else await server.start();

      // Others write the same numbers again, before the reader is back at the latest.
      await until('the epoch is another', async () => ![first, undefined].includes(await epoch()), { timeout: BACK_MS });
      await say('another three', 'another four', 'five');
      await reader.upTo(world.last, BACK_MS);
      await until('the reader is back', () => reader.subscription.state === 'subscribed');
      await say('after the restore');
      await reader.upTo(world.last);
      assert.deepEqual(reader.shown, await ana.events(room));
      assert.equal(reader.renewed, 1);
      assert.deepEqual(bodies(reader.shown), ['one', 'two', 'another three', 'another four', 'five', 'after the restore']);

      const renewed = await epoch();
      await server.restart();
      assert.equal(await epoch(), renewed, 'and once');
    });
  }
}

test('g4_what_tidings_backup_and_restore_say_for_postgres_can_be_copied, and brings everything back', { skip, timeout: 60_000 }, async (t) => {
  const server = await Server.start({ database: await postgres.database() });
  t.after(() => server.kill().catch(() => {}));
  const ana = await Person.setUp(server);
  const room = ana.room.id;
  const epoch = async () => (await ana.get('/v1/rooms')).json.rooms.find(({ id }) => id === room).epoch;
  await ana.say(room, 'kept');
  const [events, before] = [await ana.events(room), await epoch()];

  const { password } = new URL(server.database);
  const file = join(temporaryFolder(), "Ana's dump");
  const copied = async (...command) => {
    const { code, stderr } = await server.cli(...command);
    assert.equal(code, 1);
    assert.ok(!stderr.includes(password), stderr);
    const lines = stderr.split('\n').filter((line) => line.startsWith('  '));
    assert.equal(lines.length, 2, stderr);
    const env = { PATH: `${postgres.programs}:${process.env.PATH}`, PGPASSWORD: decodeURIComponent(password) };
    const done = await run('sh', ['-e', '-c', lines.join('\n')], { env });
    assert.equal(done.code, 0, done.stderr);
  };
  const nothing = await server.cli('restore', '/nonexistent');
  assert.match(nothing.stderr, /pg_restore .*'\/nonexistent'/, 'also where there is no such file');
  await copied('backup', file);
  await ana.say(room, 'lost');
  await server.stop();
  rmSync(join(server.dataDir, 'message-key'));
  await copied('restore', file);
  await server.start();
  assert.deepEqual(await ana.events(room), events);
  assert.notEqual(await epoch(), before, 'clients read it anew');
  assert.equal(said(server, 'message-key'), 0, 'the key came back with it');
});

test('g4_a_database_that_another_data_folder_had_in_between is not called older, and is read anew all the same', { skip, timeout: 60_000 }, async (t) => {
  const server = await Server.start({ database: await postgres.database() });
  t.after(() => server.kill().catch(() => {}));
  const ana = await Person.setUp(server);
  const epoch = async () => (await ana.get('/v1/rooms')).json.rooms.find(({ id }) => id === ana.room.id).epoch;
  const before = await epoch();
  await server.stop();
  const other = await Server.start({ database: server.database });
  ana.server = other;
  await ana.say(ana.room.id, 'in between');
  assert.equal(await epoch(), before, 'a folder that knows nothing renews nothing');
  await other.stop();
  await server.start();
  ana.server = server;
  assert.equal(said(server, 'a server with another data folder had the database since'), 1, server.stderr);
  assert.doesNotMatch(server.stderr, /the data is an older copy/);
  assert.notEqual(await epoch(), before);
});

test('g4_a_data_folder_that_is_gone_renews_nothing: a new container resumes where the last was', { skip, timeout: 60_000 }, async (t) => {
  const world = await World.start(t);
  await world.talk();
  await world.senders.stop();
  const epoch = async (person) => (await person.get('/v1/rooms')).json.rooms.find(({ id }) => id === world.room).epoch;
  const before = await epoch(world.ana);
  await world.server.stop();
  const elsewhere = await Server.start({ database: world.database });
  t.after(() => elsewhere.kill());
  const ana = new Person(elsewhere, world.ana.cookie);
  assert.equal(await epoch(ana), before);
  await nothingIsLostOrDoubled(ana, world.room, world.senders);
});
