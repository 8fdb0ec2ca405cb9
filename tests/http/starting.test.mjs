// Starting and stopping the program: what it prints, what it refuses and how it ends.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { Left } from '../harness/fixtures.mjs';
import { Frames } from '../harness/frames.mjs';
import { Person, request } from '../harness/http.mjs';
import { Server, TIDINGS, run, running, temporaryFolder } from '../harness/server.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';
import { until } from '../harness/wait.mjs';

/** Starts something that must refuse to run, and returns what it said. */
async function refuses(args, options = {}) {
  const ended = await run(TIDINGS, ['serve', ...args], options);
  assert.notEqual(ended.code, 0, ended.stdout);
  assert.notEqual(ended.code, 101, `it panicked: ${ended.stderr}`);
  assert.doesNotMatch(ended.stdout, /listening on/);
  return ended.stderr + ended.stdout;
}

test('one command with no configuration is a working server on the real address (0.2, 2.6, 3.7, 4.10)', async (t) => {
  const folder = join(temporaryFolder(), 'made', 'by-the-server');
  const server = new Server({ dataDir: folder });
  await server.start();
  t.after(() => server.kill());
  assert.match(server.stdout, /^listening on http:\/\/127\.0\.0\.1:[1-9]\d*$/m);
  assert.equal((await request(`${server.url}/`)).status, 200);
  assert.equal(statSync(folder).mode & 0o077, 0, 'the data folder is its owner\'s alone');
  assert.ok(readdirSync(folder).length >= 3);
});

test('the set-up link is printed at every start until the first account exists, and a stranger\'s code is refused (S28)', async (t) => {
  const server = await Server.start();
  t.after(() => server.kill());
  const first = await server.setupCode();
  assert.ok(first.length >= 16, first);
  await server.restart();
  await server.setupCode();

  const stranger = new Person(server);
  const account = { name: 'Eve', email: 'eve@example.org', password: 'correct horse battery' };
  assert.equal((await stranger.post('/v1/setup', { code: 'guessed', ...account })).status, 403);
  await Person.setUp(server);
  assert.equal((await stranger.post('/v1/setup', { code: first, ...account })).status, 409);

  await server.restart();
  assert.equal((await request(`${server.url}/readyz`)).status, 200);
  assert.doesNotMatch(server.output, /\/setup#/);
});

test('two people who open the set-up link at the same time: one of them wins (S28)', async (t) => {
  const server = await Server.start();
  t.after(() => server.kill());
  const code = await server.setupCode();
  const tries = await Promise.all(Array.from({ length: 5 }, (_, n) =>
    new Person(server).post('/v1/setup', { code, name: `P${n}`, email: `p${n}@example.org`, password: 'correct horse battery' })));
  assert.deepEqual(tries.map((answer) => answer.status).sort(), [201, 409, 409, 409, 409]);
});

test('listening on every address prints no link to http://0.0.0.0, and warns that plain HTTP is for loopback (S06)', async (t) => {
  const server = running(['serve', '--listen', '0.0.0.0:0', '--data-dir', temporaryFolder()]);
  t.after(() => server.kill('SIGKILL'));
  await until('it listens and prints the set-up link', () => /listening on/.test(server.output) && /\/setup#/.test(server.output));
  const links = server.output.replace(/^listening on http:\/\/0\.0\.0\.0:\d+$/m, '');
  assert.doesNotMatch(links, /http:\/\/0\.0\.0\.0/);
  await until('a warning', () => /warn/i.test(server.output) && /https|TLS|plain HTTP/i.test(server.output));
});

test('a port in use is an error that names it (2.4)', async (t) => {
  const taken = net.createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const address = `127.0.0.1:${taken.address().port}`;
  const said = await refuses(['--listen', address, '--data-dir', temporaryFolder()]);
  assert.ok(said.includes(address), said);
  assert.match(said, /in use/i);
});

test('a second server on the same address is refused too: the port is not shared', async (t) => {
  const server = await Server.start();
  t.after(() => server.kill());
  const said = await refuses(['--listen', `127.0.0.1:${server.port}`, '--data-dir', temporaryFolder()]);
  assert.match(said, /in use/i);
});

test('a data folder that cannot be written is an error that names it', async () => {
  const file = join(temporaryFolder(), 'a-file');
  writeFileSync(file, 'not a folder');
  const folder = join(file, 'data');
  const said = await refuses(['--listen', '127.0.0.1:0', '--data-dir', folder]);
  assert.ok(said.includes(folder), said);
});

test('a data folder without the right to write is an error that names it', { skip: process.getuid() === 0 && 'root may write everywhere' }, async () => {
  const folder = join(temporaryFolder(), 'locked');
  mkdirSync(folder, { mode: 0o500 });
  assert.ok((await refuses(['--listen', '127.0.0.1:0', '--data-dir', folder])).includes(folder));
});

test('a damaged database is an error that says where it is, and it is left as it is', async () => {
  const server = await Server.start({ database: 'sqlite' });
  await server.stop();
  const files = readdirSync(server.dataDir);
  const database = files.find((name) => name.endsWith('.db'));
  assert.ok(database, `a database among ${files}`);
  assert.deepEqual(files.filter((name) => /-(wal|shm)$/.test(name)), [], 'after a stop the database is one file, fit to be copied');
  const garbage = 'this is no database at all '.repeat(200);
  writeFileSync(join(server.dataDir, database), garbage);
  const said = await refuses(['--listen', '127.0.0.1:0', '--data-dir', server.dataDir]);
  assert.ok(said.includes(server.dataDir), said);
  assert.match(said, /not a database/);
  assert.equal(server.readFile(database), garbage);
});

test('a faulty configuration file is an error with file, line and key', async () => {
  const file = join(temporaryFolder(), 'tidings.toml');
  const faults = [
    ['listen = "127.0.0.1:0"\nping_interval = "often"\n', 2, 'ping_interval'],
    ['\n\nserver_nam = "x"\n', 3, 'server_nam'],
    ['listen = "127.0.0.1:0\n', 1, 'listen'],
  ];
  for (const [text, line, key] of faults) {
    writeFileSync(file, text);
    const said = await refuses(['--config', file, '--data-dir', temporaryFolder()]);
    assert.ok(said.includes(file), said);
    assert.match(said, new RegExp(`line ${line}|:${line}\\b`), said);
    assert.ok(said.includes(key), said);
  }
  const missing = join(temporaryFolder(), 'none.toml');
  assert.ok((await refuses(['--config', missing, '--data-dir', temporaryFolder()])).includes(missing));
});

test('flags win over the environment, and the environment over the file', async (t) => {
  const server = await Server.start({ config: 'listen = "not an address at all:1"\nserver_name = "From the file"\n', env: { TIDINGS_SERVER_NAME: 'From the environment' } });
  t.after(() => server.kill());
  const { text } = await request(`${server.url}/`);
  assert.match(text, /From the environment/);
});

test('a secret from the environment that could be guessed is refused (S66)', async () => {
  const said = await refuses(['--listen', '127.0.0.1:0', '--data-dir', temporaryFolder()], { env: { TIDINGS_API_KEY: 'short' } });
  assert.match(said, /TIDINGS_API_KEY/);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`${signal} drains: sockets are closed with "shutdown", requests in flight are answered, and it ends in time`, async (t) => {
    const server = await Server.start({ env: SECRETS });
    t.after(() => server.kill().catch(() => {}));
    const sockets = await Promise.all(Array.from({ length: 20 }, (_, n) => Frames.connect(server.websocketUrl, { token: tokenFor(`u${n}`) })));

    // A request whose body is still on its way when the signal comes: "100 Continue" says that it is being handled.
    const slow = net.connect(server.port, '127.0.0.1');
    const body = JSON.stringify({ channel: 'last', data: 'words' });
    slow.write(`POST /api/publish HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nX-API-Key: ${SECRETS.TIDINGS_API_KEY}\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`);
    let answer = '';
    slow.setEncoding('utf8').on('data', (text) => (answer += text));
    const slowEnded = once(slow, 'close');
    await until('the request is being handled', () => answer.startsWith('HTTP/1.1 100'));

    const began = Date.now();
    const ended = server.stop({ signal });
    for (const socket of sockets) assert.equal((await socket.closed()).code, 3001);
    slow.write(body);
    await slowEnded;
    assert.match(answer, /^HTTP\/1\.1 200/m);
    assert.equal(await ended, 0);
    assert.ok(Date.now() - began < 8_500, `${Date.now() - began} ms`);
    await assert.rejects(request(`${server.url}/healthz`), /ECONNREFUSED|ECONNRESET|socket hang up/);
  });
}

test('a client that never reads and never closes delays the end by no more than the stated time', async (t) => {
  const server = await Server.start({ env: SECRETS });
  t.after(() => server.kill().catch(() => {}));
  const stubborn = await Frames.connect(server.websocketUrl, { token: tokenFor('ana') });
  stubborn.socket._socket.pause();
  const hanging = net.connect(server.port, '127.0.0.1');
  hanging.on('error', () => {});
  hanging.write('POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n');
  await once(hanging, 'connect');
  const began = Date.now();
  assert.equal(await server.stop(), 0);
  assert.ok(Date.now() - began < 9_500, `${Date.now() - began} ms`);
  stubborn.socket.terminate();
  hanging.destroy();
});

test('a database that was emptied is not a new one beside the secrets of a server', async (t) => {
  const server = await Server.start({ database: 'sqlite' });
  t.after(() => server.kill().catch(() => {}));
  await Person.setUp(server);
  await server.stop();
  const database = join(server.dataDir, 'tidings.db');
  for (const left of [readdirSync(server.dataDir), ['tidings.db', 'api-key', 'token-secret']]) {
    for (const name of readdirSync(server.dataDir)) if (!left.includes(name)) rmSync(join(server.dataDir, name));
    writeFileSync(database, '');
    const said = await refuses(['--listen', '127.0.0.1:0', '--data-dir', server.dataDir]);
    assert.ok(said.includes(database), said);
    assert.match(said, /tidings restore/);
    assert.equal(statSync(database).size, 0);
  }
});

test('a first start that is killed before it has made a database is no reason to refuse the next', async (t) => {
  const server = new Server({ dataDir: temporaryFolder(), database: 'sqlite' });
  writeFileSync(join(server.dataDir, 'tidings.db'), '', { mode: 0o600 });
  await server.start();
  t.after(() => server.kill());
  await server.setupCode();
});

test('secrets and a database that others may read are warned about at the start (S66)', async (t) => {
  const server = await Server.start({ database: 'sqlite' });
  t.after(() => server.kill());
  assert.doesNotMatch(server.stderr, /others on this machine/);
  await server.stop();
  for (const file of ['api-key', 'token-secret', 'tidings.db']) chmodSync(join(server.dataDir, file), 0o640);
  await server.start();
  for (const file of ['api-key', 'token-secret', 'tidings.db']) {
    await until(`a warning about ${file}`, () => new RegExp(`others on this machine.*${file}`).test(server.stderr));
  }
  await server.stop();
  chmodSync(server.dataDir, 0o777);
  await server.start();
  await until('a warning about the folder', () => /others on this machine may replace files in the data folder/.test(server.stderr));
});

test('a message-key that is not the one of the messages is warned of until somebody has written', async (t) => {
  const server = await Server.start();
  t.after(() => server.kill().catch(() => {}));
  const warned = () => /stored with another message-key[^]*put the message-key that it had before/.test(server.stderr);
  const starts = async () => {
    await server.start();
    // By then all else has been said.
    await until('it has started', () => /\bstarted\b/.test(server.stderr));
  };
  const ana = await Person.setUp(server);
  assert.ok(!warned());
  await ana.say(ana.room.id, 'hello');
  await server.stop();
  const key = join(server.dataDir, 'message-key');
  renameSync(key, `${key}.was`);
  for (let start = 0; start < 2; start += 1) {
    await starts();
    assert.ok(warned() && server.stderr.includes(key), server.stderr);
    await server.stop();
  }
  renameSync(`${key}.was`, key);
  await starts();
  assert.ok(!warned(), 'the key is back');
  await server.stop();
  rmSync(key);
  await starts();
  await ana.say(ana.room.id, 'goes on without it');
  await server.kill();
  await starts();
  assert.ok(!warned());
});

test('a server starts while somebody is asked for a new password on the command line', async (t) => {
  const server = await Server.start();
  t.after(() => server.kill().catch(() => {}));
  const ana = await Person.setUp(server);
  await server.stop();
  const lock = join(server.dataDir, 'tidings.lock');
  rmSync(lock);
  const asking = spawn(TIDINGS, ['user', 'password', ana.email, '--data-dir', server.dataDir], { env: { ...process.env, ...server.env }, stdio: ['pipe', 'ignore', 'ignore'] });
  t.after(() => asking.kill('SIGKILL'));
  const ended = once(asking, 'close');
  await until('the command is at work', () => readdirSync(server.dataDir).includes('tidings.lock'));
  await server.start();
  asking.stdin.end('correct horse battery 2\n');
  assert.deepEqual(await ended, [0, null]);
  assert.equal((await ana.signIn({ password: 'correct horse battery 2' })).status, 201);
});

test('a second server is kept out though the lock was removed', async (t) => {
  const server = await Server.start();
  t.after(() => server.kill().catch(() => {}));
  rmSync(join(server.dataDir, 'tidings.lock'));
  await until('it is held anew', () => /tidings.lock was removed or replaced/.test(server.stderr));
  const said = await refuses(['--listen', '127.0.0.1:0', '--data-dir', server.dataDir], { env: server.env });
  assert.match(said, /cannot open the data folder .*: another program is using/, 'wherever its database is');
});

test('a program that does not hold the data folder neither migrates nor replaces the database', async (t) => {
  const dataDir = new Left('0.1.0-first').dataDir();
  const schema = () => execFileSync('sqlite3', [join(dataDir, 'tidings.db'), 'PRAGMA user_version']).toString().trim();
  // Another server, of the version before.
  const holder = spawn('flock', ['-x', join(dataDir, 'tidings.lock'), 'cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
  t.after(() => holder.kill('SIGKILL'));
  holder.stdin.write('held\n');
  await once(holder.stdout, 'data');
  assert.equal(schema(), '1');

  const backup = join(temporaryFolder(), 'backup');
  const common = ['--data-dir', dataDir];
  const said = (...args) => run(TIDINGS, [...args, ...common], { input: 'correct horse battery 2\n' });
  assert.equal((await said('backup', backup)).code, 0, 'a backup changes nothing');
  await Promise.all([
    // Once, though it is the cause of what is said before it.
    [['serve', '--listen', '127.0.0.1:0'], /^(?!.*another program is using.*another program is using).*another program is using/m],
    [['restore', '/nonexistent'], /cannot read the backup \/nonexistent/],
    [['user', 'list'], /use the same version/],
    [['user', 'password', 'ana@example.org'], /use the same version/],
    [['restore', backup, '--replace'], /stop the server first/],
    [['restore', '--in-place'], /stop the server first/],
  ].map(async ([args, word]) => {
    const { code, stderr } = await said(...args);
    assert.equal(code, 1, args.join(' '));
    assert.match(stderr, word);
  }));
  assert.equal(schema(), '1');
});
