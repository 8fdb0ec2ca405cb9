// A pooler before Postgres: one that keeps sessions is as good as none, one that does not is refused with the reason.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { Person } from '../harness/http.mjs';
import { SHARED, freshDatabase, noPostgres } from '../harness/postgres.mjs';
import { Server, TIDINGS, run, temporaryFolder } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

const absent = spawnSync('pgbouncer', ['--version']).error !== undefined && 'pgbouncer is not installed';
const skip = noPostgres || absent;

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** PgBouncer before the tests' Postgres, in this mode; the address of the database through it. */
async function pooled(t, mode) {
  const [database, port, folder] = [new URL(await freshDatabase()), await freePort(), temporaryFolder()];
  const server = new URL(SHARED);
  const [user, password] = [server.username, decodeURIComponent(server.password)];
  const config = join(folder, 'pgbouncer.ini');
  writeFileSync(config, `[databases]
* = host=${server.hostname} port=${server.port} user=${user} password=${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
logfile = ${join(folder, 'log')}
`);
  chmodSync(config, 0o600);
  // It refuses to run as root.
  const [uid, gid] = process.getuid() === 0 ? [65_534, 65_534] : [process.getuid(), process.getgid()];
  for (const path of [folder, config]) chownSync(path, uid, gid);
  const child = spawn('pgbouncer', [config], { uid, gid, stdio: 'ignore', cwd: folder });
  t.after(() => child.kill('SIGKILL'));
  process.on('exit', () => child.kill('SIGKILL'));
  database.port = port;
  const address = database.href;
  await until('the pooler listens', async () => {
    const socket = connect(port, '127.0.0.1');
    const connected = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false);
    socket.destroy();
    return connected;
  });
  return address;
}

test('a pooler that keeps sessions is as good as none', { skip }, async (t) => {
  const server = await Server.start({ database: await pooled(t, 'session') });
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  assert.equal((await ana.say(ana.room.id, 'through the pooler')).status, 201);
  assert.equal(await server.stop(), 0);
  await server.start();
  assert.equal((await ana.get('/v1/me')).status, 200);
});

test('a pooler that gives each transaction another session is refused, and what to do is said', { skip }, async (t) => {
  const TIDINGS_DATABASE = await pooled(t, 'transaction');
  const args = ['serve', '--listen', '127.0.0.1:0', '--data-dir', temporaryFolder()];
  const { code, stdout, stderr } = await run(TIDINGS, args, { env: { TIDINGS_DATABASE } });
  assert.equal(code, 1, stdout + stderr);
  assert.match(stderr, /pool_mode=transaction.*pool_mode=session/);
  assert.doesNotMatch(stdout, /listening/);
});
