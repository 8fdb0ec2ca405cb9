// The chat on SQLite and on Postgres, by turns on the same machine: durable posts, a room of a million messages, a thousand
// people who come back to thirty rooms each.
// usage: node bench/databases.mjs [posts] [room] [return]     (after `make build` and `npm ci` in tests/)
// ROUNDS=3 MESSAGES=1000000 PEOPLE=1000 ROOMS=100 EACH=30; TIDINGS_BIN names another binary. Postgres is tests/postgres'.
//
// CPU is that of the server's process, and of all of Postgres' processes beside it.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

process.env.TIDINGS_BIN ??= fileURLToPath(new URL('../target/release/tidings', import.meta.url));
const { WebSocket } = createRequire(new URL('../tests/package.json', import.meta.url))('ws');
const { Person } = await import('../tests/harness/http.mjs');
const { Postgres, query } = await import('../tests/harness/postgres.mjs');
const { Server, TIDINGS } = await import('../tests/harness/server.mjs');

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const [ROUNDS, MESSAGES, PEOPLE, ROOMS, EACH] = [
  number('ROUNDS', 3), number('MESSAGES', 1_000_000), number('PEOPLE', 1_000), number('ROOMS', 100), number('EACH', 30),
];
const wanted = process.argv.slice(2);
const wants = (what) => wanted.length === 0 || wanted.includes(what);

// On the same disk as SQLite.
process.env.ON_DISK = '1';
const postgres = await Postgres.start();
if (!postgres) throw new Error('there is no Postgres here (tests/postgres start says why)');
// What `bench chat` measures for, warming up left out; Postgres' CPU is that of all of it, so a little too much.
const SECONDS = number('SECONDS', 10);
const DATABASES = ['sqlite', 'postgres'];
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const part = (values, share) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];

/** Seconds on a processor of all of Postgres, ended processes included. */
function postgresCpu() {
  const first = Number(readFileSync(join(postgres.dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
  let ticks = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    let fields;
    try {
      fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
    } catch {
      continue;
    }
    // utime and stime; of the first process also those of its children that have ended.
    if (Number(fields[1]) === first) ticks += Number(fields[11]) + Number(fields[12]);
    if (Number(pid) === first) ticks += [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0);
  }
  return ticks / 100;
}

async function start(database, options = {}) {
  const url = database === 'sqlite' ? 'sqlite' : await postgres.database();
  const server = await Server.start({ args: ['--rate-limits', 'false'], startTimeout: 60_000, ...options, database: url });
  return { server, url };
}

/** SQL in the database of a server that is stopped. `sql` is in the words of both, but for what it is given. */
async function fill(database, { server, url }, sql) {
  if (database === 'sqlite') {
    const script = 'import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\ndb.executescript(sys.stdin.read())\ndb.commit()\ndb.execute("PRAGMA wal_checkpoint(TRUNCATE)")';
    execFileSync('python3', ['-c', script, join(server.dataDir, 'tidings.db')], { input: sql, maxBuffer: 1 << 30 });
  } else {
    await query(url, `SET search_path = tidings; ${sql}; ANALYZE`);
  }
}

/** How each writes an identity. */
const id = { sqlite: (hex) => `x'${hex}'`, postgres: (hex) => `'${hex}'::uuid` };
const bytes = { sqlite: (hex) => `x'${hex}'`, postgres: (hex) => `'\\x${hex}'::bytea` };

if (wants('posts')) {
  for (const inFlight of [1, 16, 200]) {
    const found = { sqlite: [], postgres: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const database of DATABASES) {
        const scratch = mkdtempSync(join(tmpdir(), 'tidings-bench-'));
        // The bench keeps what configures a server of ours away from the one that it starts.
        const program = join(scratch, 'server');
        const url = database === 'sqlite' ? 'sqlite' : await postgres.database();
        writeFileSync(program, `#!/bin/sh\nTIDINGS_DATABASE='${url}' exec '${TIDINGS}' "$@"\n`, { mode: 0o700 });
        const cpu = postgresCpu();
        const args = ['bench', 'chat', '--unpinned', '--rounds', '1', '--people', '40', '--duration', String(SECONDS), '--in-flight', String(inFlight), '--scratch', scratch, '--server-binary', program, '--json'];
        const { stdout, stderr, status } = spawnSync(TIDINGS, args, { encoding: 'utf8' });
        if (status !== 0) throw new Error(stderr + stdout);
        const figures = JSON.parse(stdout).results[0].figures;
        const of = (name) => figures[name].median;
        const posts = of('acknowledged_per_second') * SECONDS;
        found[database].push({
          rate: of('acknowledged_per_second'), p50: of('acknowledged_p50_us') / 1_000, p99: of('acknowledged_p99_us') / 1_000,
          cpu: of('server_cpu_us_per_post'), postgres: ((postgresCpu() - cpu) * 1e6) / posts,
        });
        rmSync(scratch, { recursive: true });
      }
    }
    for (const database of DATABASES) {
      const of = (name) => median(found[database].map((round) => round[name]));
      console.log(`posts, ${inFlight} in flight, ${database}: ${of('rate').toFixed(0)}/s, p50 ${of('p50').toFixed(2)} ms, p99 ${of('p99').toFixed(2)} ms; CPU a post ${of('cpu').toFixed(0)} us, Postgres ${database === 'sqlite' ? '-' : `${of('postgres').toFixed(0)} us`}`);
    }
  }
}

if (wants('room')) {
  for (const database of DATABASES) {
    const started = await start(database);
    const { server } = started;
    const ana = await Person.setUp(server);
    await ana.say(ana.room.id, 'the first');
    await server.stop();
    const hex = (text) => text.replaceAll('-', '');
    const [room, author] = [id[database](hex(ana.room.id)), id[database](hex(ana.id))];
    const fresh = database === 'sqlite' ? 'randomblob(16)' : 'gen_random_uuid()';
    const digest = database === 'sqlite' ? 'zeroblob(32)' : `decode(repeat('00', 32), 'hex')`;
    const numbers = database === 'sqlite'
      ? `WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < ${MESSAGES})`
      : `WITH n(i) AS (SELECT generate_series(3, ${MESSAGES}))`;
    await fill(database, started, `
      INSERT INTO messages (id, room, number, author, client_id, digest, body, time)
        ${numbers} SELECT ${fresh}, ${room}, i, ${author}, ${fresh}, ${digest}, 'a message like many others, of some eighty characters, with its number ' || i, 1763630000000 + i FROM n;
      INSERT INTO room_events (room, number, kind, message, actor, subject, time)
        SELECT room, number, 'message.posted', id, author, author, time FROM messages WHERE number > 2;
      UPDATE rooms SET last_number = ${MESSAGES}`);
    const began = performance.now();
    await server.start();
    const listening = performance.now() - began;
    const times = { newest: [], anywhere: [], resume: [], post: [] };
    const timed = async (what, ask) => {
      const before = performance.now();
      const answer = await ask();
      times[what].push(performance.now() - before);
      if (answer.status >= 300) throw new Error(answer.text);
    };
    const path = `/v1/rooms/${ana.room.id}`;
    for (let n = 0; n < 300; n += 1) {
      const place = 1 + Math.floor(Math.random() * (MESSAGES - 300));
      await timed('newest', () => ana.get(`${path}/messages?limit=50`));
      await timed('anywhere', () => ana.get(`${path}/messages?before=${place}&limit=50`));
      await timed('resume', () => ana.get(`${path}/events?after=${MESSAGES - 100}&limit=200`));
      await timed('post', () => ana.say(ana.room.id, 'one more'));
    }
    const shown = Object.entries(times).map(([what, all]) => `${what} p50 ${median(all).toFixed(2)} p99 ${part(all, 0.99).toFixed(2)} ms`);
    console.log(`a room of ${MESSAGES} messages, ${database}: listening after ${listening.toFixed(0)} ms; ${shown.join('; ')}`);
    await server.stop();
  }
}

/** What the sockets of one round received, replies included. */
let received = 0;

/** One person: connects and resumes all rooms in one frame, as the page does. What is pushed meanwhile is not parsed: that would measure Node. */
function comesBack(server, { token }, rooms, sockets) {
  const socket = new WebSocket(server.websocketUrl, { headers: { cookie: `tidings=${token}`, origin: server.url }, perMessageDeflate: false });
  sockets.push(socket);
  const commands = [{ connect: {} }, ...rooms.map(({ id: room, offset, epoch }) => ({ subscribe: { channel: `room:${room}`, recover: true, offset, epoch } }))];
  return new Promise((resolve, reject) => {
    let missing = commands.length;
    socket.on('open', () => socket.send(commands.map((command, at) => JSON.stringify({ id: at + 1, ...command })).join('\n')));
    socket.on('error', reject);
    socket.on('close', (code) => reject(new Error(`closed with ${code}`)));
    socket.on('message', (data) => {
      for (const line of data.toString().split('\n')) {
        received += 1;
        if (line === '{}') socket.send('{}');
        if (!line.startsWith('{"id":')) continue;
        const reply = JSON.parse(line);
        if (!reply.connect && !reply.subscribe?.recovered) reject(new Error(line.slice(0, 1_000)));
        missing -= 1;
      }
      if (missing === 0) resolve();
    });
  });
}
if (wants('return')) {
  for (const database of DATABASES) {
    const started = await start(database);
    const { server } = started;
    const ana = await Person.setUp(server);
    const rooms = [];
    for (let n = 0; n < ROOMS; n += 1) rooms.push((await ana.createRoom(`Room ${n}`)).id);
    await server.stop();
    const hex = (text) => text.replaceAll('-', '');
    const people = Array.from({ length: PEOPLE }, (_, n) => ({ id: randomBytes(16).toString('hex'), token: randomBytes(32).toString('base64url'), n }));
    const now = Date.now();
    const rows = people.map(({ id: key, n }) => `(${id[database](key)}, 'Person ${n}', 'person${n}@example.org', 'member', 'none', ${now}, 'person ${n}')`);
    const sessions = people.map(({ id: key, token }) => `(${id[database](randomBytes(16).toString('hex'))}, ${id[database](key)}, ${bytes[database](createHash('sha256').update(token).digest('hex'))}, '', ${now}, ${now})`);
    const inside = (n) => Array.from({ length: EACH }, (_, k) => rooms[(n * 7 + k) % ROOMS]);
    const memberships = people.flatMap(({ id: key, n }) => inside(n).map((room) => `(${id[database](hex(room))}, ${id[database](key)}, ${now})`));
    const counted = database === 'sqlite' ? '' : '; UPDATE rooms SET members = (SELECT count(*) FROM memberships m WHERE m.room = rooms.id)';
    await fill(database, started, `
      INSERT INTO people (id, name, email, role, password, created, look) VALUES ${rows.join(',')};
      INSERT INTO sessions (id, person, token, user_agent, created, last_seen) VALUES ${sessions.join(',')};
      INSERT INTO memberships (room, person, joined) VALUES ${memberships.join(',')}${counted}`);
    await server.start();
    const stands = new Map((await ana.get('/v1/rooms?limit=200')).json.rooms.map((room) => [room.id, room]));
    // Each room has something that all have missed.
    for (const room of rooms) await ana.say(room, 'missed');
    const before = { cpu: server.cpu, postgres: postgresCpu(), began: performance.now() };
    const waits = [];
    received = 0;
    const waiting = [...people];
    const sockets = [];
    await Promise.all(Array.from({ length: 200 }, async () => {
      for (let person = waiting.pop(); person; person = waiting.pop()) {
        const asked = performance.now();
        await comesBack(server, person, inside(person.n).map((room) => stands.get(room)), sockets);
        waits.push(performance.now() - asked);
      }
    }));
    const seconds = (performance.now() - before.began) / 1_000;
    console.log(`${PEOPLE} people return to ${EACH} rooms each, ${database}: all in ${seconds.toFixed(1)} s, each p50 ${median(waits).toFixed(0)} p99 ${part(waits, 0.99).toFixed(0)} ms, ${(received / 1e6).toFixed(1)} million lines to them all; CPU ${(server.cpu - before.cpu).toFixed(1)} s, Postgres ${(postgresCpu() - before.postgres).toFixed(1)} s`);
    for (const socket of sockets) socket.terminate();
    await server.kill();
  }
}
await postgres.remove();
process.exit(0);
