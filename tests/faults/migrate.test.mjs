// tidings migrate: whoever was connected goes on where they were, with another database under the server; and a move that
// is killed goes on too.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Person, uuidv7 } from '../harness/http.mjs';
import { freshDatabase, noPostgres } from '../harness/postgres.mjs';
import { Reader } from '../harness/reader.mjs';
import { clientOf } from '../harness/sdk.mjs';
import { Server, TIDINGS, run, running, temporaryFolder } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

const skip = noPostgres;

/** The command, and its environment: an address of a test may have a password. */
function migration(from, to) {
  const password = [from, to].map((place) => place.includes('://') && new URL(place).password).find(Boolean);
  const shown = (place) => (password ? place.replace(`:${password}@`, '@') : place);
  return { args: ['migrate', '--from', shown(from), '--to', shown(to)], env: password ? { TIDINGS_DATABASE_PASSWORD: decodeURIComponent(password) } : {} };
}

async function migrate(from, to, ...more) {
  const { args, env } = migration(from, to);
  return run(TIDINGS, [...args, ...more], { env, timeout: 120_000 });
}

/** Ends the command as soon as it says so; answers what it said. */
async function migrateEndedAt(saying, from, to, signal = 'SIGKILL') {
  const { args, env } = migration(from, to);
  const child = running(args, env);
  child.stderr.on('data', () => child.output.includes(saying) && child.kill(signal));
  const [code, killed] = await once(child, 'close');
  if (signal === 'SIGKILL') assert.equal(killed, signal, `it had ended before, with ${code}: ${child.output}`);
  else assert.equal(code, 1, child.output);
  return child.output;
}

/** A server that listens where another one did, so that clients come back to it. */
async function startInPlaceOf(t, before, options) {
  const server = new Server({ config: 'rate_limits = false\n', ...options });
  server.port = before.port;
  t.after(() => server.kill().catch(() => {}));
  await server.start();
  return server;
}

async function refusesToStart(options, why) {
  const server = new Server(options);
  await assert.rejects(server.start(), (error) => {
    assert.match(error.message, why);
    return true;
  });
}

test('a client that was connected before the move resumes after it, there and back', { skip }, async (t) => {
  const [dataDir, elsewhere] = [temporaryFolder(), join(temporaryFolder(), 'new')];
  const database = await freshDatabase();
  let server = await Server.start({ dataDir, database: 'sqlite', config: 'rate_limits = false\n' });
  t.after(() => server.kill().catch(() => {}));
  const ana = await Person.setUp(server);
  const room = ana.room.id;
  const ben = await Person.invited(ana);
  const reader = await Reader.of(clientOf(t, ana), ana, room);
  const first = uuidv7();
  let sent = (await ben.say(room, 'before the move 🌿', first)).json;
  const answer = sent;
  await reader.upTo(sent.number);
  const epoch = async () => (await ana.get('/v1/rooms')).json.rooms.find((one) => one.id === room).epoch;
  const before = await epoch();

  const places = [
    { from: dataDir, to: database, options: { dataDir, database } },
    { from: database, to: dataDir, options: { dataDir, database: 'sqlite' } },
    { from: dataDir, to: database, options: { dataDir, database } },
    { from: database, to: elsewhere, options: { dataDir: elsewhere, database: 'sqlite' } },
  ];
  let left = { dataDir, database: 'sqlite' };
  for (const { from, to, options } of places) {
    // Nobody is listening when the first one comes after the move.
    reader.centrifuge.disconnect();
    assert.equal(await server.stop(), 0);
    const planned = await migrate(from, to, '--dry-run');
    assert.equal(planned.code, 0, planned.stderr);
    assert.match(planned.stdout, /2 people, 1 room, \d+ messages?;[^]*some seconds[^]*Nothing was written/);
    const moved = await migrate(from, to);
    assert.equal(moved.code, 0, moved.stderr);
    assert.match(moved.stdout, /2 people, 1 room[^]*the same on both sides[^]*tidings --data-dir/);
    const [, rows] = moved.stdout.match(/All (\d+) rows/);
    for (const step of ['copying', 'comparing']) assert.ok(moved.stderr.includes(`${step}: ${rows} of ${rows} rows\n`), moved.stderr);
    if (to === database) assert.match(moved.stdout, /TIDINGS_DATABASE_PASSWORD/);
    await refusesToStart(left, to === database ? /the data was moved to .* named with --database/ : /the data was moved to .*with --data-dir \S+ and without --database/);
    if (left.database === 'sqlite') {
      const checked = await run(TIDINGS, ['config', 'check', '--data-dir', left.dataDir]);
      assert.equal(checked.code, 1, checked.stdout);
      assert.match(checked.stderr, /the data was moved to/);
    }
    assert.match((await migrate(from, to)).stderr, /the data was moved to/);

    server = await startInPlaceOf(t, server, options);
    for (const person of [ana, ben]) person.server = server;
    sent = (await ben.say(room, 'while nobody listens')).json;
    reader.centrifuge.connect();
    await reader.upTo(sent.number);
    sent = (await ben.say(room, 'after the move')).json;
    await reader.upTo(sent.number);
    assert.deepEqual(reader.shown, await ana.events(room), 'nothing is missing or doubled');
    assert.deepEqual([reader.renewed, reader.paged, await epoch()], [0, 1, before], 'and it has only resumed');
    assert.deepEqual((await ben.say(room, 'before the move 🌿', first)).json, answer, 'what is sent again is one message');
    assert.equal((await ben.get('/v1/me')).status, 200, 'the session goes on');
    left = options;
  }
});

test('a dry run says that somebody has the target, also where nobody has an account there yet', { skip }, async (t) => {
  const database = await freshDatabase();
  const there = await Server.start({ database });
  t.after(() => there.kill().catch(() => {}));
  const { server: { dataDir } } = await talkative(t);
  const planned = await migrate(dataDir, database, '--dry-run');
  assert.equal(planned.code, 0, planned.stderr);
  assert.match(planned.stdout, /For the move itself, stop the server first, or it is refused: the database .* holds it/);
  const refused = await migrate(dataDir, database);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /stop the server first/);
  await there.stop();
  assert.doesNotMatch((await migrate(dataDir, database, '--dry-run')).stdout, /stop the server/);
});

/** A stopped server's folder with one person and many messages, and how many there are. */
async function talkative(t) {
  const server = await Server.start({ database: 'sqlite' });
  t.after(() => server.kill().catch(() => {}));
  const ana = await Person.setUp(server);
  await server.stop();
  execFileSync('sqlite3', [join(server.dataDir, 'tidings.db'), `
    WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
    INSERT INTO messages (id, room, number, author, client_id, digest, body, time) SELECT randomblob(16), r.id, i, p.id, randomblob(16), randomblob(32), 'number ' || i, 1763630000000 + i FROM n, rooms r, people p;
    INSERT INTO room_events (room, number, kind, message, actor, subject, time) SELECT room, number, 'message.posted', id, author, author, time FROM messages;
    UPDATE rooms SET last_number = 30000;`]);
  return { server, ana };
}

test('a move that is killed goes on with the same command, and nothing half filled starts', { skip }, async (t) => {
  const { server: first, ana } = await talkative(t);
  const { dataDir } = first;
  const database = await freshDatabase();
  const back = join(temporaryFolder(), 'back');
  const event = () => execFileSync('sqlite3', ['-readonly', join(dataDir, 'tidings.db'), 'SELECT kind FROM room_events WHERE number = 2'], { encoding: 'utf8' });
  assert.match(event(), /message/);

  for (const [from, to, target] of [
    [dataDir, database, { dataDir: temporaryFolder(), database }],
    [database, back, { dataDir: back, database: 'sqlite' }],
  ]) {
    for (const saying of ['copying: ', 'comparing: ']) {
      await migrateEndedAt(saying, from, to);
      await refusesToStart(target, /the move of the data of .* into it has not ended/);
    }
    assert.match(await migrateEndedAt('comparing: ', from, to, 'SIGINT'), /the same command goes on from where it was/);
    const moved = await migrate(from, to);
    assert.equal(moved.code, 0, moved.stderr);
    assert.match(moved.stdout, /29999 messages/);
  }

  assert.ok(!existsSync(join(back, 'token-secret')));
  const server = await startInPlaceOf(t, first, { dataDir: back, database: 'sqlite' });
  ana.server = server;
  const events = await ana.events(ana.room.id);
  assert.deepEqual([events.length, events.at(-1).number, events.at(-1).message.body], [30_000, 30_000, 'number 30000']);
  assert.equal((await ana.say(ana.room.id, 'goes on')).json.number, 30_001);
  await until('it has its own secrets', () => existsSync(join(back, 'token-secret')) && readFileSync(join(back, 'api-key'), 'utf8').length > 0);
});

test('a move that begins anew because the source was started in between says so', { skip }, async (t) => {
  const { server } = await talkative(t);
  const database = await freshDatabase();
  await migrateEndedAt('comparing: ', server.dataDir, database);
  await server.start();
  await server.stop();
  for (const more of [['--dry-run'], []]) {
    const { code, stdout, stderr } = await migrate(server.dataDir, database, ...more);
    assert.equal(code, 0, stderr);
    assert.match(stdout + stderr, /copied once more/);
  }
});

test('a password is not taken from the command line, and two data folders are refused in words', { skip }, async () => {
  const secret = 'postgres://ana:secret@127.0.0.1:1/chat?sslmode=disable';
  const { code, stdout, stderr } = await run(TIDINGS, ['migrate', '--from', temporaryFolder(), '--to', secret]);
  assert.equal(code, 1);
  assert.match(stderr, /--to `postgres:\/\/ana@127\.0\.0\.1:1\/chat\?sslmode=disable`: a password on the command line/);
  assert.ok(!`${stdout}${stderr}`.includes('secret'));
  const nobody = await run(TIDINGS, ['migrate', '--from', temporaryFolder(), '--to', 'postgres://127.0.0.1:1/chat?sslmode=disable']);
  assert.match(nobody.stderr, /it names no user/);
  const folders = await migrate(temporaryFolder(), temporaryFolder());
  assert.match(folders.stderr, /both are data folders/);
  for (const typo of ['postgres:/chat@x', 'postgresql:/ana:secret@x/chat']) {
    const { stderr: refused } = await run(TIDINGS, ['migrate', '--from', temporaryFolder(), '--to', typo]);
    assert.match(refused, /looks like an address, which is written postgres:\/\/USER@HOST:PORT\/DATABASE/);
    assert.ok(!refused.includes('secret'), refused);
  }
  const nowhere = await migrate(join(temporaryFolder(), 'none'), 'postgres://ana@127.0.0.1:1/chat?sslmode=disable');
  assert.match(nowhere.stderr, /there is no data folder/);
});

test('a password that is missing, wrong or in an empty file is named with where it comes from', { skip }, async () => {
  const database = new URL(await freshDatabase());
  if (!database.password) return;
  database.password = '';
  const [file, dataDir] = [join(temporaryFolder(), 'password'), temporaryFolder()];
  writeFileSync(file, '\n');
  const command = (from, to, ...more) => ['migrate', '--from', from, '--to', to, '--dry-run', ...more];
  for (const [args, env, why] of [
    [command(database.href, dataDir), {}, /none was given; its password comes from TIDINGS_FROM_PASSWORD, from TIDINGS_DATABASE_PASSWORD, or from the file/],
    [command(database.href, dataDir), { TIDINGS_FROM_PASSWORD: 'wrong' }, /authentication failed.*TIDINGS_FROM_PASSWORD/],
    [command(database.href, dataDir, '--database-password-file', file), {}, /is empty; put the password/],
    [['user', 'list', '--data-dir', dataDir, '--database', database.href], { TIDINGS_DATABASE_PASSWORD: '' }, /none was given; the password comes from TIDINGS_DATABASE_PASSWORD/],
  ]) {
    const { code, stderr } = await run(TIDINGS, args, { env });
    assert.equal(code, 1, args.join(' '));
    assert.match(stderr, why);
    assert.doesNotMatch(stderr, /cannot be reached/);
  }
});
