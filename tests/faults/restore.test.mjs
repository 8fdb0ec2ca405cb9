// G4 when the database itself goes back in time: a client resumes exactly, or is told that it cannot; never a silent hole.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Person, request } from '../harness/http.mjs';
import { Reader } from '../harness/reader.mjs';
import { clientOf } from '../harness/sdk.mjs';
import { Server, running, temporaryFolder } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

const bodies = (events) => events.filter((event) => event.type === 'message.posted').map((event) => event.message.body);

/** A server with one person who reads a room, and what both are asked in every test here. */
class World {
  static async start(t, options) {
    const server = await Server.start({ database: 'sqlite', ...options });
    t.after(() => server.kill().catch(() => {}));
    const ana = await Person.setUp(server);
    const room = ana.room.id;
    const reader = await Reader.of(clientOf(t, ana), ana, room);
    return Object.assign(new World(), { server, ana, room, reader });
  }

  get database() {
    return join(this.server.dataDir, 'tidings.db');
  }

  async say(...texts) {
    for (const text of texts) {
      const answer = await this.ana.say(this.room, text);
      assert.equal(answer.status, 201, answer.text);
      this.last = answer.json.number;
    }
  }

  async epoch() {
    return (await this.ana.get('/v1/rooms')).json.rooms.find((room) => room.id === this.room).epoch;
  }

  /** The database as it is now, in one file without a log, as the sqlite3 shell or any tool makes it. */
  copy() {
    const to = join(temporaryFolder(), 'copy.db');
    execFileSync('sqlite3', [this.database, `.backup ${to}`]);
    return to;
  }

  withoutLog() {
    for (const suffix of ['-wal', '-shm']) rmSync(this.database + suffix, { force: true });
  }

  /** The reader has gone on from its old place; what it shows must be what there is. */
  async showsWhatThereIs({ renewed }) {
    await until('the reader is back', () => this.reader.subscription.state === 'subscribed');
    await this.say('after the restore');
    await this.reader.upTo(this.last);
    const events = await this.ana.events(this.room);
    assert.deepEqual(this.reader.shown, events);
    assert.equal(this.reader.renewed, renewed);
  }
}

/** Puts an older database back in some way, while the server is dead, and looks whether the reader misses anything. */
function putsBack(name, put, { before = () => {}, stop = (server) => server.kill() } = {}) {
  test(`g4_${name}: nobody resumes into the hole`, async (t) => {
    const world = await World.start(t);
    await world.say('one', 'two');
    await before(world);
    const copy = world.copy();
    const epoch = await world.epoch();
    await world.say('three', 'four');
    await world.reader.upTo(world.last);
    await stop(world.server);
    put(world, copy);
    await world.server.start();
    // Others write the same numbers again, before the reader is back at the latest.
    await world.say('another three', 'another four', 'five');
    assert.notEqual(await world.epoch(), epoch);
    await world.showsWhatThereIs({ renewed: 1 });
    assert.deepEqual(bodies(world.reader.shown), ['one', 'two', 'another three', 'another four', 'five', 'after the restore']);

    const renewed = await world.epoch();
    await world.server.restart();
    assert.equal(await world.epoch(), renewed, 'and once');
  });
}

putsBack('a_backup_copied_over_the_database_of_the_same_run', (world, copy) => {
  world.withoutLog();
  copyFileSync(copy, world.database);
});
putsBack('a_backup_that_takes_the_place_of_the_database_of_the_same_run', (world, copy) => {
  world.withoutLog();
  copyFileSync(copy, `${world.database}.new`);
  renameSync(`${world.database}.new`, world.database);
});
putsBack('a_backup_of_an_earlier_run', (world, copy) => copyFileSync(copy, world.database), {
  before: async (world) => {
    await world.server.stop();
    await world.server.start();
  },
  stop: (server) => server.stop(),
});
putsBack('a_database_without_its_mark', (world, copy) => {
  world.withoutLog();
  rmSync(join(world.server.dataDir, 'tidings.mark'));
  copyFileSync(copy, world.database);
});

test('g4_a_backup_copied_over_the_database_with_the_log_of_the_killed_server_is_refused_or_whole', async (t) => {
  const world = await World.start(t, { config: 'rate_limits = false\n' });
  await world.say('one');
  const copy = world.copy();
  // So much that SQLite brings the log into the database on the way.
  const long = 'x'.repeat(15_000);
  await Promise.all(Array.from({ length: 600 }, () => world.ana.say(world.room, long).then(({ status }) => assert.equal(status, 201))));
  await world.say('last');
  const events = await world.ana.events(world.room);
  await world.server.kill();
  assert.ok(statSync(`${world.database}-wal`).size > 0);
  const whole = readFileSync(world.database);
  copyFileSync(copy, world.database);
  await assert.rejects(world.server.start(), /the log beside it/);
  writeFileSync(world.database, whole);
  await world.server.start();
  assert.deepEqual(await world.ana.events(world.room), events);
});

// What is in the log, and how much of the database itself, is another matter in each: SQLite brings the log in at about 4 MB.
for (const [where, before, after] of [['in_the_log_alone', 40, 40], ['in_the_database_too', 170, 3]]) {
  test(`g4_what_tidings_backup_made_copied_over_a_killed_server_is_refused_and_restored: messages ${where}`, async (t) => {
    const world = await World.start(t, { config: 'rate_limits = false\n' });
    const { server } = world;
    const long = (count) => Array.from({ length: count }, (_, at) => `${at} ${'x'.repeat(3_000)}`);
    await world.say(...long(before));
    const file = join(temporaryFolder(), 'chat.backup');
    assert.equal((await server.cli('backup', file)).code, 0);
    const backedUp = await world.ana.events(world.room);
    await world.say(...long(after));
    await world.reader.upTo(world.last);
    await server.kill();
    assert.ok(statSync(`${world.database}-wal`).size > 0);
    copyFileSync(file, world.database);
    const files = () => [readFileSync(world.database), readFileSync(`${world.database}-wal`)];
    const left = files();

    await assert.rejects(server.start(), /tidings restore --replace/);
    for (const args of [['user', 'list'], ['backup', `${file}.2`], ['restore', '--in-place']]) {
      const { code, stderr } = await server.cli(...args);
      assert.equal(code, 1);
      assert.match(stderr, /tidings restore --replace/, args[0]);
    }
    assert.deepEqual(files(), left, 'nothing was touched');

    const restored = await server.cli('restore', '--replace', file);
    assert.equal(restored.code, 0, restored.stderr);
    await server.start();
    assert.deepEqual(await world.ana.events(world.room), backedUp);
    await world.showsWhatThereIs({ renewed: 1 });
    const kept = readdirSync(server.dataDir).filter((name) => name.includes('.replaced-')).sort();
    assert.deepEqual(kept.map((name) => readFileSync(join(server.dataDir, name))), left, 'both are kept as they were');
  });
}

test('g4_the_whole_folder_removed_and_copied_back_is_noticed', async (t) => {
  const world = await World.start(t);
  await world.say('one');
  await world.server.stop();
  const folder = temporaryFolder();
  cpSync(world.server.dataDir, folder, { recursive: true, preserveTimestamps: true });
  await world.server.start();
  await world.say('two', 'three');
  await world.reader.upTo(world.last);
  await world.server.stop();
  for (const name of readdirSync(world.server.dataDir)) rmSync(join(world.server.dataDir, name));
  cpSync(folder, world.server.dataDir, { recursive: true, preserveTimestamps: true });
  await world.server.start();
  await world.say('another two', 'another three', 'four');
  await world.showsWhatThereIs({ renewed: 1 });
});

test('g4_the_whole_folder_overwritten_in_place_needs_a_word_of_the_operator', async (t) => {
  const world = await World.start(t);
  await world.say('one');
  await world.server.stop();
  const folder = temporaryFolder();
  cpSync(world.server.dataDir, folder, { recursive: true });
  await world.server.start();
  await world.say('two', 'three');
  await world.reader.upTo(world.last);
  const refused = await world.server.cli('restore', '--in-place');
  assert.match(refused.stderr, /stop the server first/);
  await world.server.stop();
  for (const name of readdirSync(folder)) writeFileSync(join(world.server.dataDir, name), readFileSync(join(folder, name)));
  const { code, stderr } = await world.server.cli('restore', '--in-place');
  assert.equal(code, 0, stderr);
  await world.server.start();
  await world.say('another two', 'another three', 'four');
  await world.showsWhatThereIs({ renewed: 1 });
});

test('g4_tidings_backup_and_restore: everything is there, and whoever was connected reads it anew', async (t) => {
  const world = await World.start(t);
  await world.say('one', 'two');
  const file = join(temporaryFolder(), 'chat.backup');
  let posting = true;
  const busy = (async () => {
    while (posting) await world.ana.say(world.room, 'meanwhile');
  })();
  const made = await world.server.cli('backup', file);
  posting = false;
  await busy;
  assert.equal(made.code, 0, made.stderr);
  assert.equal(statSync(file).mode & 0o777, 0o600, 'its owner\'s alone (S69)');
  const again = await world.server.cli('backup', file);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /exists already/);

  await world.say('after the backup');
  await world.reader.upTo(world.last);
  const events = await world.ana.events(world.room);
  assert.match((await world.server.cli('restore', file, '--replace')).stderr, /stop the server first/);
  await world.server.stop();
  const without = await world.server.cli('restore', file);
  assert.equal(without.code, 1);
  assert.match(without.stderr, /--replace/);
  const restored = await world.server.cli('restore', file, '--replace');
  assert.equal(restored.code, 0, restored.stderr);
  await world.server.start();
  const back = await world.ana.events(world.room);
  assert.ok(back.length >= 3 && back.length < events.length);
  assert.deepEqual(back, events.slice(0, back.length));
  await world.say('another message under a number that was used before');
  await world.showsWhatThereIs({ renewed: 1 });
  const kept = readdirSync(world.server.dataDir).filter((name) => name.includes('.replaced-'));
  assert.equal(kept.length, 1, 'what was there before is kept');

  // On another machine: the folder is made, and the accounts are those of the backup.
  const elsewhere = new Server({ dataDir: join(temporaryFolder(), 'new'), database: 'sqlite' });
  const moved = await elsewhere.cli('restore', file);
  assert.equal(moved.code, 0, moved.stderr);
  await elsewhere.start();
  t.after(() => elsewhere.kill());
  const there = Object.assign(new Person(elsewhere), { email: world.ana.email, password: world.ana.password });
  assert.equal((await there.signIn()).status, 201);
  assert.deepEqual(await there.events(world.room), back);
});

test('g4_a_backup_that_was_changed_on_the_way_is_refused', async (t) => {
  const world = await World.start(t);
  await world.say('one');
  const file = join(temporaryFolder(), 'chat.backup');
  await world.server.cli('backup', file);
  await world.server.stop();
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(file, bytes);
  const { code, stderr } = await world.server.cli('restore', file, '--replace');
  assert.equal(code, 1);
  assert.match(stderr, /damaged/);
  await world.server.start();
  assert.deepEqual(bodies(await world.ana.events(world.room)), ['one']);
});

test('a file that is no backup is named as such, and a refused restore leaves no data folder behind', async () => {
  const elsewhere = new Server({ dataDir: join(temporaryFolder(), 'new'), database: 'sqlite' });
  const { code, stderr } = await elsewhere.cli('restore', '/etc/passwd');
  assert.equal(code, 1);
  assert.match(stderr, /passwd is no backup; name a file/);
  assert.equal(existsSync(elsewhere.dataDir), false);
});

test('g4_restarts_and_kills_at_any_moment_of_a_start_renew_nothing', { timeout: 180_000 }, async (t) => {
  const world = await World.start(t);
  await world.say('one');
  await world.reader.upTo(world.last);
  const epoch = await world.epoch();
  const { server } = world;
  await server.kill();
  let took = 0;
  for (let round = 0; round < 60; round += 1) {
    // Killed at a moment of its start, or a little after, which the rounds move through.
    const began = Date.now();
    const child = running(['serve', '--listen', '127.0.0.1:0', '--data-dir', server.dataDir]);
    const listens = until('it listens', () => /^listening on/m.test(child.output), { every: 1 });
    if (round < 3) {
      await listens;
      took = Math.max(took, Date.now() - began);
    } else {
      listens.catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, (took * (round - 3)) / 50));
    }
    const ended = new Promise((resolve) => child.on('close', resolve));
    child.kill('SIGKILL');
    await ended;
  }
  await server.start();
  for (let round = 0; round < 20; round += 1) {
    await world.say(`round ${round}`);
    if (round % 2 === 0) await server.restart();
    else {
      await server.stop();
      await server.start();
    }
  }
  assert.equal(await world.epoch(), epoch);
  await world.showsWhatThereIs({ renewed: 0 });
});

test('g4_what_the_command_line_commits_renews_nothing, with a server beside it or not', async (t) => {
  const world = await World.start(t);
  await world.say('one');
  const epoch = await world.epoch();
  const password = async (text) => {
    const { code, stderr } = await world.server.cliWithInput(`${text}\n`, 'user', 'password', world.ana.email);
    assert.equal(code, 0, stderr);
  };
  await password('correct horse battery 2');
  await world.server.kill();
  await password('correct horse battery 3');
  await world.server.start();
  assert.equal((await world.ana.signIn({ password: 'correct horse battery 3' })).status, 201);
  assert.equal(await world.epoch(), epoch);

  // A copy is noticed by the first program that opens it, and not made right by what it commits.
  const copy = world.copy();
  await password('correct horse battery 4');
  await world.server.kill();
  world.withoutLog();
  copyFileSync(copy, world.database);
  await password('correct horse battery 5');
  await world.server.start();
  assert.equal((await world.ana.signIn({ password: 'correct horse battery 5' })).status, 201);
  assert.notEqual(await world.epoch(), epoch);
});

test('a database that is removed under a running server ends it with a clear word, and what was in it is kept', async (t) => {
  const world = await World.start(t);
  await world.say('one', 'two');
  const ended = new Promise((resolve) => world.server.child.on('close', resolve));
  rmSync(world.database);
  assert.equal(await ended, 1);
  assert.match(world.server.stderr, /removed or replaced while the server was running/);
  await assert.rejects(world.server.start(), /tidings restore/, 'it does not begin anew as if nothing had been');
  const rescued = readdirSync(world.server.dataDir).find((name) => name.includes('.rescued-'));
  const { code, stderr } = await world.server.cli('restore', join(world.server.dataDir, rescued));
  assert.equal(code, 0, stderr);
  await world.server.start();
  assert.deepEqual(bodies(await world.ana.events(world.room)), ['one', 'two']);
  assert.equal((await request(`${world.server.url}/readyz`)).status, 200);
  assert.ok(!existsSync(`${world.database}.restoring`));
});

test('g1_a_log_that_is_removed_under_a_running_server_ends_it, and what was in it is kept', async (t) => {
  const world = await World.start(t);
  await world.say('one', 'two');
  const ended = new Promise((resolve) => world.server.child.on('close', resolve));
  rmSync(`${world.database}-wal`);
  assert.equal(await ended, 1);
  assert.match(world.server.stderr, /removed or replaced while the server was running/);
  const rescued = readdirSync(world.server.dataDir).find((name) => name.includes('.rescued-'));
  const { code, stderr } = await world.server.cli('restore', join(world.server.dataDir, rescued), '--replace');
  assert.equal(code, 0, stderr);
  await world.server.start();
  assert.deepEqual(bodies(await world.ana.events(world.room)), ['one', 'two']);
});

test('commits that are missing at a start are said', async (t) => {
  const world = await World.start(t);
  await world.server.restart();
  await world.say('one');
  await world.server.kill();
  world.withoutLog();
  await world.server.start();
  await until('a warning', () => /what the last run wrote is missing/.test(world.server.stderr));
});

test('tidings.mark and reserve, removed under a running server, are made anew', async (t) => {
  const world = await World.start(t);
  await world.say('one');
  const epoch = await world.epoch();
  for (const name of ['tidings.mark', 'reserve']) {
    const file = join(world.server.dataDir, name);
    const { size } = statSync(file);
    rmSync(file);
    await until(`${name} is back`, () => existsSync(file) && statSync(file).size === size);
    await until('a warning', () => new RegExp(`${name} was removed or replaced`).test(world.server.stderr));
  }
  const ben = await Person.invited(world.ana);
  const { code, stderr } = await world.server.cli('user', 'deactivate', ben.email);
  assert.equal(code, 0, stderr);
  await world.server.cli('user', 'activate', ben.email);
  await world.server.kill();
  await world.server.start();
  assert.equal((await world.ana.signIn()).status, 201);
  assert.equal(await world.epoch(), epoch);
});

test('two restores in one second keep the database that was there', async (t) => {
  const world = await World.start(t);
  await world.say('one');
  const file = join(temporaryFolder(), 'chat.backup');
  await world.server.cli('backup', file);
  await world.say('after the backup');
  await world.server.stop();
  for (let n = 0; n < 4; n += 1) assert.equal((await world.server.cli('restore', file, '--replace')).code, 0);
  const kept = readdirSync(world.server.dataDir).filter((name) => name.includes('.replaced-'));
  assert.equal(kept.length, 4);
  assert.ok(kept.some((name) => readFileSync(join(world.server.dataDir, name)).includes('after the backup')));
});
