// The program on the command line, as an operator and a developer use it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Person } from '../../harness/http.mjs';
import { client, connected, subscribed } from '../../harness/sdk.mjs';
import { Server, TIDINGS, run, running, temporaryFolder } from '../../harness/server.mjs';
import { until } from '../../harness/wait.mjs';

// With secrets that the server made for itself: nothing is configured.
let server;
before(async () => (server = await Server.start()));
after(() => server.kill());

test('`tidings token` prints a token and nothing else, and a stock SDK connects with it', async (t) => {
  const { code, stdout } = await server.cli('token', '--user', 'ana', '--ttl', '60');
  assert.equal(code, 0);
  assert.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  const claims = JSON.parse(Buffer.from(stdout.split('.')[1], 'base64url'));
  assert.equal(claims.sub, 'ana');
  assert.ok(Math.abs(claims.exp - Date.now() / 1000 - 60) < 10);
  await connected(client(t, server.websocketUrl, { token: stdout.trim() }));
});

test('`tidings publish` reaches a subscriber of the stock SDK', async (t) => {
  const news = await subscribed(client(t, server.websocketUrl, { token: await server.token('ana') }), 'news');
  const { code, stderr } = await server.cli('publish', 'news', '{"n":1}', '--server', server.url);
  assert.equal(code, 0, stderr);
  assert.deepEqual((await news.publications.take(1))[0].data, { n: 1 });
});

test('`tidings publish` says what is wrong: data that is no JSON, a wrong key, no server', async () => {
  const noJson = await server.cli('publish', 'news', '{oops', '--server', server.url);
  assert.notEqual(noJson.code, 0);
  assert.match(noJson.stderr, /JSON/i);
  const wrongKey = await run(TIDINGS, ['publish', 'news', '1', '--server', server.url, '--data-dir', server.dataDir], { env: { TIDINGS_API_KEY: 'not-the-key-of-this-server' } });
  assert.notEqual(wrongKey.code, 0);
  assert.match(wrongKey.stderr, /key|401|unauthori/i);
  const nobody = await server.cli('publish', 'news', '1', '--server', 'http://127.0.0.1:1');
  assert.notEqual(nobody.code, 0);
  assert.match(nobody.stderr, /127\.0\.0\.1:1/);
});

test('`tidings publish` and `tail` find the server where the configuration says that it listens', async (t) => {
  const config = join(temporaryFolder(), 'tidings.toml');
  writeFileSync(config, `listen = "0.0.0.0:${server.port}"\n`);
  const beside = ['--config', config, '--data-dir', server.dataDir];
  const news = await subscribed(client(t, server.websocketUrl, { token: await server.token('ana') }), 'configured');
  for (const [args, env] of [[['--config', config], {}], [[], { TIDINGS_CONFIG: config }], [[], { TIDINGS_LISTEN: `127.0.0.1:${server.port}` }]]) {
    const { code, stderr } = await run(TIDINGS, ['publish', 'configured', '1', '--data-dir', server.dataDir, ...args], { env, cwd: temporaryFolder() });
    assert.equal(code, 0, stderr);
  }
  await news.publications.take(3);
  const tail = running(['tail', 'configured', '--history', '3', '--count', '3', ...beside]);
  t.after(() => tail.kill('SIGKILL'));
  await until('it prints the history', () => tail.output === '1\n1\n1\n');
});

test('`tidings tail` prints each publication as one JSON value a line, through a restart of the server', async (t) => {
  const tail = server.cliRunning('tail', 'ticker', '--server', server.url);
  t.after(() => tail.kill('SIGKILL'));
  const say = (value) => server.cli('publish', 'ticker', JSON.stringify(value), '--server', server.url);
  const lines = () => tail.output.split('\n').filter((line) => /^\{"price"/.test(line)).map((line) => JSON.parse(line));
  const seen = async (price) => {
    // It may not have subscribed yet, so the value is published until it is there.
    await until(`price ${price} is printed`, async () => {
      if (lines().some((line) => line.price === price)) return true;
      await say({ price });
      return lines().some((line) => line.price === price);
    }, { every: 100, timeout: 15_000 });
  };
  await seen(1);
  await server.restart();
  await seen(2);
});

test('`tidings user list` and `tidings user password` help the one who forgot it', async () => {
  const ana = await Person.setUp(server);
  const { stdout } = await server.cli('user', 'list');
  assert.match(stdout, /ana@example\.org/);
  const input = 'a new pass phrase\na new pass phrase\n';
  const changed = await server.cliWithInput(input, 'user', 'password', 'ana@example.org');
  assert.equal(changed.code, 0, changed.stderr);
  assert.equal((await ana.get('/v1/me')).status, 401);
  assert.equal((await ana.signIn()).status, 401);
  assert.equal((await ana.signIn({ password: 'a new pass phrase' })).status, 201);

  const unknown = await server.cliWithInput(input, 'user', 'password', 'nobody@example.org');
  assert.notEqual(unknown.code, 0);
  assert.match(unknown.stderr, /nobody@example\.org/);
});

test('`tidings user` without a server leaves the database whole, in one file without a log, also when it fails', async (t) => {
  const other = await Server.start({ database: 'sqlite' });
  t.after(() => other.kill());
  const ben = await Person.invited(await Person.setUp(other));
  await other.stop();
  const password = 'a new pass phrase';
  for (const [code, args, input] of [
    [0, ['list']],
    [0, ['password', 'ana@example.org'], password],
    [1, ['password', 'ana@example.org'], 'short'],
    [1, ['password', 'nobody@example.org'], password],
    [1, ['deactivate', 'no address']],
    [1, ['deactivate', 'ana@example.org']],
    [0, ['deactivate', ben.email]],
    [0, ['activate', ben.email]],
  ]) {
    const ended = await other.cliWithInput(`${input ?? ''}\n`, 'user', ...args);
    assert.equal(ended.code, code, ended.stderr);
    const left = readdirSync(other.dataDir).filter((name) => name.startsWith('tidings.db'));
    assert.deepEqual(left, ['tidings.db'], args.join(' '));
  }
});

test('`tidings config` prints what is in effect and no secret (S66)', async () => {
  const { code, stdout, stderr } = await server.cli('config');
  assert.equal(code, 0, stderr);
  assert.match(stdout, /listen/);
  assert.match(stdout, /data_dir/);
  for (const name of ['api-key', 'token-secret']) {
    const secret = readFileSync(join(server.dataDir, name), 'utf8').trim();
    assert.ok(secret.length >= 32);
    assert.ok(!stdout.includes(secret) && !server.output.includes(secret), name);
    assert.equal(statSync(join(server.dataDir, name)).mode & 0o777, 0o600);
  }
});

test('every subcommand has help that says what it does (3.7)', async () => {
  const { stdout } = await run(TIDINGS, ['--help']);
  for (const word of ['--listen', '--public-url', '--tls-cert', '--tls-key', '--data-dir', '--config', '127.0.0.1:8000']) assert.ok(stdout.includes(word), word);
  for (const command of ['serve', 'token', 'publish', 'tail', 'user', 'config', 'bench']) {
    assert.ok(stdout.includes(command), command);
    const help = await run(TIDINGS, [command, '--help']);
    assert.equal(help.code, 0, command);
    assert.match(help.stdout, /Usage: tidings/, command);
    assert.ok(help.stdout.split('\n')[0].length > 15, command);
  }
  const wrong = await run(TIDINGS, ['--no-such-flag']);
  assert.equal(wrong.code, 2);
});

test('`tidings bench` measures a server of its own and prints JSON', { timeout: 60_000 }, async () => {
  const { code, stdout, stderr } = await run(TIDINGS, ['bench', 'fanout', '--subscribers', '20', '--window', '4', '--messages', '200', '--json'], { timeout: 50_000, cwd: temporaryFolder() });
  assert.equal(code, 0, stderr);
  assert.match(JSON.stringify(JSON.parse(stdout)), /deliver/);
});

test('the example of the README runs as it stands', async (t) => {
  const example = spawn(process.execPath, [fileURLToPath(new URL('example.mjs', import.meta.url)), await server.token('ana'), server.websocketUrl]);
  t.after(() => example.kill());
  let output = '';
  example.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  example.stderr.setEncoding('utf8').on('data', (text) => (output += text));
  await until('it subscribes, receives its own publication, reads history and presence', () =>
    /subscribed/.test(output) && /received \d+ \{ text: 'hello from Node' \}/.test(output) && /history \d+/.test(output) && /here \[ 'ana' \]/.test(output),
  ).catch((error) => assert.fail(`${error.message}\n${output}`));
  await server.cli('publish', 'news', '"hello"', '--server', server.url);
  await until('what the command line publishes arrives', () => /received \d+ hello/.test(output));
});

test('the README shows that example as it is, and its commands work as they are written', async (t) => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const example = readFileSync(new URL('example.mjs', import.meta.url), 'utf8');
  const [, shown] = readme.match(/```js\n(.*?)```/s);
  assert.equal(shown, example.slice(example.indexOf('import')), 'the README and tests/sdk/node/example.mjs differ');

  const folder = temporaryFolder();
  symlinkSync(server.dataDir, join(folder, 'tidings-data'));
  const news = await subscribed(client(t, server.websocketUrl, { token: await server.token('ana') }), 'news');
  const commands = readme.split('\n').filter((line) => /^(curl|tidings publish) /.test(line));
  assert.equal(commands.length, 2);
  for (const command of commands) {
    const { code, stdout, stderr } = await run('bash', ['-c', command.replaceAll('http://127.0.0.1:8000', server.url)], {
      cwd: folder,
      env: { PATH: `${dirname(TIDINGS)}:${process.env.PATH}`, TIDINGS_SERVER: server.url },
    });
    assert.equal(code, 0, `${command}\n${stdout}${stderr}`);
  }
  assert.deepEqual((await news.publications.take(2)).map((publication) => publication.data), [{ price: 42 }, { price: 42 }]);
});
