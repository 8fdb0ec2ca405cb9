// Tokens of other issuers than the server's own secret: by key, by secret and by a set of keys at an address; what a token may do by
// patterns; who comes without a token; and what the command line says of all of it. By the stock SDK where it acts by itself.

import assert from 'node:assert/strict';
import { createSign, generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';

import { Frames } from '../../harness/frames.mjs';
import { Person } from '../../harness/http.mjs';
import { client, collect, connected, event, subscribed } from '../../harness/sdk.mjs';
import { Server, TIDINGS, run, temporaryFolder } from '../../harness/server.mjs';
import { SECRETS, TOKEN_SECRET, jwt, tokenFor } from '../../harness/tokens.mjs';
import { until } from '../../harness/wait.mjs';

const started = [];
after(() => Promise.all(started.map((server) => server.kill())));
const start = async (options) => {
  const server = await Server.start({ env: SECRETS, ...options });
  started.push(server);
  return server;
};

const now = () => Math.floor(Date.now() / 1000);
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token signed with a private key. */
function signed(key, { alg, kid, ...claims }) {
  const text = `${part({ alg, typ: 'JWT', kid })}.${part({ sub: 'ana', exp: now() + 60, ...claims })}`;
  const signature = alg === 'EdDSA' ? sign(null, Buffer.from(text), key)
    : createSign('sha256').update(text).sign(alg.startsWith('ES') ? { key, dsaEncoding: 'ieee-p1363' } : key);
  return `${text}.${signature.toString('base64url')}`;
}

const rsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = (key) => key.export({ type: 'spki', format: 'pem' });
const privatePem = (key) => key.export({ type: 'pkcs8', format: 'pem' });

/** A file with that in it. */
function file(text, mode = 0o600) {
  const path = join(temporaryFolder(), 'file');
  writeFileSync(path, text, { mode });
  return path;
}

/** The close code, or the code of the error, that a connect with this token gets; 0 when it is welcome. */
async function outcome(server, token) {
  const frames = await Frames.open(server.websocketUrl);
  const reply = await frames.ask({ connect: token === undefined ? {} : { token } });
  frames.close();
  return reply.closed ?? reply.error?.code ?? 0;
}

suite('an issuer in the configuration', () => {
  test('signs with its own key, and its entry alone decides about its tokens (S30)', async () => {
    const [login, other] = [rsa(), rsa()];
    const edwards = generateKeyPairSync('ed25519');
    const server = await start({
      config: `[[client.token.issuers]]
iss = "login"
audience = "chat"
algorithms = ["RS256"]
key_file = "${file(pem(login.publicKey))}"
[[client.token.issuers]]
iss = "shop"
algorithms = ["EdDSA"]
key = """${pem(edwards.publicKey)}"""
`,
    });
    const good = { alg: 'RS256', iss: 'login', aud: 'chat' };
    assert.equal(await outcome(server, signed(login.privateKey, good)), 0);
    assert.equal(await outcome(server, signed(edwards.privateKey, { alg: 'EdDSA', iss: 'shop' })), 0);
    assert.equal(await outcome(server, tokenFor('ana')), 0, "the server's own secret goes on");
    assert.equal(await outcome(server, signed(login.privateKey, { ...good, exp: now() - 60 })), 109);
    for (const token of [
      signed(other.privateKey, good),
      signed(login.privateKey, { ...good, aud: 'another' }),
      signed(login.privateKey, { ...good, iss: 'shop' }),
      signed(edwards.privateKey, { ...good, alg: 'EdDSA' }),
      tokenFor('ana', { iss: 'login', aud: 'chat' }),
      jwt({ sub: 'ana', exp: now() + 60, iss: 'login', aud: 'chat' }, { secret: pem(login.publicKey) }),
      `${part({ alg: 'none' })}.${part({ sub: 'ana', exp: now() + 60, iss: 'login', aud: 'chat' })}.`,
    ]) {
      assert.equal(await outcome(server, token), 3500, token);
    }
  });

  test('has a previous key until its end, and is read again at SIGHUP (S30)', async (t) => {
    const [before, after] = [rsa(), rsa()];
    const key = file(pem(before.publicKey));
    const entry = (more = '') => `[[client.token.issuers]]\niss = "login"\nalgorithms = ["RS256"]\nkey_file = "${key}"\n${more}`;
    const server = await start({ config: entry() });
    const token = (pair) => signed(pair.privateKey, { alg: 'RS256', iss: 'login' });
    const ana = client(t, server.websocketUrl, { token: token(before) });
    const lost = collect(ana, 'connecting');
    await connected(ana);
    const previous = (until) => `previous = { key_file = "${file(pem(before.publicKey))}", until = ${until} }\n`;
    const reloaded = async (config) => {
      const times = server.stderr.split('configuration read again').length;
      writeFileSync(server.configFile, config);
      process.kill(server.pid, 'SIGHUP');
      await until('the configuration is read again', () => server.stderr.split('configuration read again').length > times);
    };
    writeFileSync(key, pem(after.publicKey));
    await reloaded(entry(previous('2099-01-01T00:00:00Z')));
    assert.deepEqual([await outcome(server, token(before)), await outcome(server, token(after))], [0, 0]);
    await reloaded(entry(previous('2020-01-01T00:00:00Z')));
    assert.deepEqual([await outcome(server, token(before)), await outcome(server, token(after))], [3500, 0]);
    assert.match(server.stderr, /configuration read again/);
    assert.equal(lost.length, 1, 'whoever was connected stays');
    // What is wrong leaves everything as it was.
    writeFileSync(server.configFile, entry('kye = "a"\n'));
    process.kill(server.pid, 'SIGHUP');
    await until('it is refused', () => /everything stays as it was/.test(server.stderr));
    assert.equal(await outcome(server, token(after)), 0);
  });

  test('that is wrong is an error with file, line and key, or with the file that it names', async () => {
    const refuses = async (config) => {
      const path = file(config);
      const { code, stderr } = await run(TIDINGS, ['serve', '--listen', '127.0.0.1:0', '--data-dir', temporaryFolder(), '--config', path], { env: SECRETS });
      assert.notEqual(code, 0);
      return { stderr, path };
    };
    const line = await refuses('listen = "127.0.0.1:0"\n\n[[client.token.issuers]]\nalgorithms = ["RS257"]\nkey_file = "a"\n');
    assert.ok(line.stderr.includes(line.path), line.stderr);
    assert.match(line.stderr, /line 4, key `client.token.issuers.algorithms`: unknown variant `RS257`.*did you mean `RS256`/);
    const shape = await refuses('[[client.token.issuers]]\nalgorithms = ["HS256"]\nkey_file = "a"\n');
    assert.match(shape.stderr, /line 1, key `client.token.issuers.*HS256, HS384 and HS512 need a secret_file/);
    const missing = await refuses('[[client.token.issuers]]\nalgorithms = ["RS256"]\nkey_file = "/nowhere/key.pem"\n');
    assert.match(missing.stderr, /client.token.issuers\[0\].key_file `\/nowhere\/key.pem`: cannot be read/);
    const short = await refuses(`[[client.token.issuers]]\nalgorithms = ["HS256"]\nsecret_file = "${file('fifteen-bytes-.')}"\n`);
    assert.match(short.stderr, /secret_file .*has 15 bytes; at least 16 are needed/);
  });

  test("whose secret others on the machine may read is warned about at the start (S66)", async () => {
    const secret = file('a-secret-for-everybody', 0o644);
    const server = await start({ config: `[[client.token.issuers]]\nalgorithms = ["HS256"]\nsecret_file = "${secret}"\n` });
    await until('a warning', () => new RegExp(`others on this machine.*${secret}`).test(server.stderr));
    assert.ok(!server.output.includes('a-secret-for-everybody'));
  });
});

suite('an issuer that publishes its keys at an address', () => {
  /** A small server with a set of keys; counts who asks. */
  async function publisher(t, keys) {
    const state = { keys, asked: 0, down: false };
    const server = createServer((request, response) => {
      state.asked += 1;
      if (state.down) return request.socket.destroy();
      return response.end(JSON.stringify({ keys: state.keys }));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    return Object.assign(state, { url: `http://127.0.0.1:${server.address().port}/keys.json` });
  }
  const jwk = (pair, kid) => ({ ...pair.publicKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' });
  const config = (url) => `[[client.token.issuers]]\niss = "login"\nalgorithms = ["RS256"]\njwks_url = "${url}"\n`;

  test('is asked at the start, is asked little by made-up names, and stays good while it is down (S30)', async (t) => {
    const one = rsa();
    const keys = await publisher(t, [jwk(one, 'one')]);
    const server = await start({ config: config(keys.url) });
    await until('the keys are read', () => keys.asked === 1 && /the keys of an issuer of client tokens were read/.test(server.stderr));
    const token = (pair, kid) => signed(pair.privateKey, { alg: 'RS256', kid, iss: 'login' });
    assert.equal(await outcome(server, token(one, 'one')), 0);
    for (let number = 0; number < 30; number += 1) {
      // Whether it is there can be known only by asking again, later: clients come again.
      assert.equal(await outcome(server, token(rsa4, `made up ${number}`)), 100);
    }
    assert.equal(keys.asked, 1);
    keys.down = true;
    assert.equal(await outcome(server, token(one, 'one')), 0);
    assert.equal(await outcome(server, token(rsa4, 'one')), 3500);
    assert.equal(await outcome(server, jwt({ sub: 'ana', exp: now() + 60, iss: 'login' })), 3500);
  });
  const rsa4 = rsa();

  test('that is down at the start holds nobody else up, and its users come in when it is there', async (t) => {
    const one = rsa();
    const keys = await publisher(t, [jwk(one, 'one')]);
    keys.down = true;
    const server = await start({ config: config(keys.url) });
    await until('a warning', () => /the keys of an issuer of client tokens cannot be read/.test(server.stderr));
    assert.equal(await outcome(server, tokenFor('ana')), 0);
    const token = signed(one.privateKey, { alg: 'RS256', kid: 'one', iss: 'login' });
    assert.equal(await outcome(server, token), 100);
    keys.down = false;
    // The SDK tries again by itself, and the address is asked again after ten seconds.
    const ana = client(t, server.websocketUrl, { token });
    ana.connect();
    await until('it is let in', () => ana.state === 'connected', { timeout: 20_000 });
  });
});

suite('capabilities', () => {
  let server;
  const caps = [
    { channels: ['news:*'], match: 'wildcard', allow: ['sub', 'hst'] },
    { channels: ['^\\$room_[\\d]+$'], match: 'regex', allow: ['sub', 'pub', 'prs'] },
    { channels: ['$one'], allow: ['sub'] },
  ];
  test('let one token into many channels by patterns, and only do there what they say', async (t) => {
    server = await start({ config: `[namespaces.news]\nsubscribe = ["token"]\npublish = ["token"]\nsee_history = ["token"]\nsee_presence = ["token"]\n` });
    const ana = client(t, server.websocketUrl, { token: tokenFor('ana', { caps }) });
    const news = await subscribed(ana, 'news:today');
    await news.history({ limit: 0 });
    await assert.rejects(news.publish({}), { code: 103 });
    await assert.rejects(news.presence(), { code: 103 });
    const room = await subscribed(ana, '$room_42');
    await room.publish({ hello: 1 });
    assert.deepEqual((await room.publications.take(1))[0].data, { hello: 1 });
    assert.equal(Object.keys((await room.presence()).clients).length, 1);
    await subscribed(ana, '$one');
    for (const channel of ['$room_x', '$one2', '$']) {
      const refused = ana.newSubscription(channel);
      refused.subscribe();
      assert.equal((await event(refused, 'unsubscribed')).code, 103, channel);
    }
    const none = await Frames.connect(server.websocketUrl, { token: tokenFor('bea') });
    assert.equal((await none.subscribe('news:today')).error.code, 103);
    none.close();
  });

  test('open no channel of the chat', async () => {
    const ana = await Frames.connect(server.websocketUrl, { token: tokenFor('ana', { caps: [{ channels: ['*'], match: 'wildcard', allow: ['sub', 'pub', 'prs', 'hst'] }] }) });
    for (const channel of ['room:0192e3f2-0000-7000-8000-000000000000', 'user:0192e3f2-0000-7000-8000-000000000000']) {
      assert.equal((await ana.subscribe(channel)).error.code, 103, channel);
    }
    ana.close();
  });

  test('of a subscription token hold in its channel for as long as it is subscribed', async () => {
    const ana = await Frames.connect(server.websocketUrl, { token: tokenFor('ana') });
    const publish = { publish: { channel: 'news:x', data: {} } };
    assert.equal((await ana.ask(publish)).error.code, 103);
    await ana.subscribe('news:x', { token: tokenFor('ana', { channel: 'news:x', allow: ['pub'] }) });
    ana.send({ id: 50, ...publish });
    assert.ok(await ana.until('the reply', (line) => line.id === 50 && line.publish));
    assert.equal((await ana.ask({ history: { channel: 'news:x' } })).error.code, 103);
    await ana.ask({ unsubscribe: { channel: 'news:x' } });
    assert.equal((await ana.ask(publish)).error.code, 103);
    ana.close();
  });

  test('that a refresh takes away are close 3010, and the next connection has those of the new token', async () => {
    const ana = await Frames.connect(server.websocketUrl, { token: tokenFor('ana', { caps }) });
    assert.ok((await ana.ask({ refresh: { token: tokenFor('ana', { caps }) } })).refresh);
    assert.equal((await ana.ask({ refresh: { token: tokenFor('ana', { caps: caps.slice(1) }) } })).closed, 3010);
  });
});

test('what a token overrides holds for its subscription: it is not in presence', async () => {
  const server = await start();
  const hidden = { override: { presence: { value: false } } };
  const ana = await Frames.connect(server.websocketUrl, { token: tokenFor('ana', { subs: { seen: {}, given: hidden } }) });
  await ana.subscribe('asked', { token: tokenFor('ana', { channel: 'asked', ...hidden }) });
  for (const [channel, count] of [['seen', 1], ['given', 0], ['asked', 0]]) {
    const { presence } = await ana.ask({ presence: { channel } });
    assert.equal(Object.keys(presence.presence).length, count, channel);
  }
  ana.close();
});

suite('without a token', () => {
  test('nobody is let in unless the configuration says so: close 3501', async () => {
    assert.equal(await outcome(await start()), 3501);
  });

  test('client.anonymous lets them in as nobody in particular, and says so at the start', async () => {
    const server = await start({ config: '[client]\nanonymous = true\n' });
    await until('a warning', () => /client.anonymous is on/.test(server.stderr));
    const nobody = await Frames.connect(server.websocketUrl, {});
    assert.ok((await nobody.subscribe('open')).subscribe);
    assert.equal((await nobody.subscribe('$closed')).error.code, 103);
    assert.equal((await nobody.ask({ publish: { channel: '$closed', data: 1 } })).error.code, 103);
    const { presence } = await nobody.ask({ presence: { channel: 'open' } });
    assert.equal(Object.values(presence.presence)[0].user, '');
    nobody.close();
    // A token without a user is another matter, and so is the chat's own page, which asks who is signed in.
    assert.equal(await outcome(server, jwt({ exp: now() + 60 })), 3507);
    const page = await Frames.open(server.websocketUrl);
    assert.equal((await page.ask({ connect: { name: 'web' } })).closed, 3501);
  });

  test('client.insecure lets them do everything, says so at every start whatever is logged, and takes short secrets', async () => {
    const config = 'log = "off"\n[client]\ninsecure = true\n';
    const server = await start({ config, env: { TIDINGS_TOKEN_SECRET: 'short', TIDINGS_API_KEY: 'key' } });
    for (let times = 0; times < 2; times += 1) {
      assert.match(server.stderr, /\*\*\* INSECURE: client.insecure is on/);
      if (times === 0) await server.restart();
    }
    const nobody = await Frames.connect(server.websocketUrl, {});
    assert.ok((await nobody.subscribe('$closed')).subscribe);
    assert.ok((await nobody.ask({ history: { channel: '$other' } })).history);
    assert.equal((await nobody.subscribe('room:0192e3f2-0000-7000-8000-000000000000')).error.code, 103, 'but the chat is closed');
    nobody.close();
    assert.equal(await outcome(server, jwt({ sub: 'ana', exp: now() + 60 }, { secret: 'short' })), 0);
    // A page that leads another site's name to this machine is not of this machine.
    const host = `evil.example:${server.port}`;
    await assert.rejects(Frames.open(server.websocketUrl, { headers: { origin: `http://${host}`, host } }), /403/);
    await assert.rejects(Frames.open(server.websocketUrl, { headers: { host } }), /403/, 'also without an origin, as a page of that name asks for an event stream');
  });

  test('client.insecure is refused beyond this machine', async () => {
    for (const more of [['--listen', '0.0.0.0:0'], ['--listen', '127.0.0.1:0', '--public-url', 'https://chat.example.org']]) {
      const { code, stderr } = await run(TIDINGS, ['serve', '--data-dir', temporaryFolder(), '--client-insecure', 'true', ...more]);
      assert.notEqual(code, 0);
      assert.match(stderr, /while client.insecure is true/);
    }
  });
});

test('a token without exp is good only where client.token.allow_without_exp says so, which each start says (S30)', async () => {
  const endless = jwt({ sub: 'ana' });
  assert.equal(await outcome(await start(), endless), 3500);
  const server = await start({ config: '[client.token]\nallow_without_exp = true\n' });
  await until('a warning', () => /client.token.allow_without_exp is on/.test(server.stderr));
  assert.equal(await outcome(server, endless), 0);
  assert.equal(await outcome(server, jwt({ sub: 'ana', exp: now() - 60 })), 109);
});

suite('`tidings token`', () => {
  test('makes tokens of every kind, which say what was asked for', async () => {
    const server = await start({ config: 'token_audience = "chat"\n' });
    const claims = async (...args) => {
      const { code, stdout, stderr } = await server.cli('token', '--user', 'ana', ...args);
      assert.equal(code, 0, stderr);
      assert.equal(stdout.trim().split('\n').length, 1, 'the token and nothing else');
      assert.equal(stderr, '');
      return JSON.parse(Buffer.from(stdout.trim().split('.')[1], 'base64url'));
    };
    const plain = await claims();
    assert.deepEqual(Object.keys(plain).sort(), ['aud', 'exp', 'iat', 'sub']);
    const all = await claims('--ttl', '60', '--info', '{"name":"Ana"}', '--meta', '1', '--channels', 'a,b', '--subs', '{"c":{"info":1}}',
      '--caps', '[{"channels":["n:*"],"match":"wildcard","allow":["sub"]}]', '--expire-at', '0', '--aud', 'other', '--iss', 'me', '--jti', 'x');
    assert.deepEqual({ ...all, exp: 0, iat: 0 }, {
      sub: 'ana', exp: 0, iat: 0, info: { name: 'Ana' }, meta: 1, channels: ['a', 'b'], subs: { c: { info: 1 } },
      caps: [{ channels: ['n:*'], match: 'wildcard', allow: ['sub'] }], expire_at: 0, aud: 'other', iss: 'me', jti: 'x',
    });
    assert.equal(all.exp - all.iat, 60);
    const subscription = await claims('--channel', '$a', '--allow', 'pub,hst', '--override', '{"presence":{"value":false}}', '--ttl', '0');
    assert.deepEqual([subscription.channel, subscription.allow, subscription.override, subscription.exp], ['$a', ['pub', 'hst'], { presence: { value: false } }, undefined]);
    const wrong = await server.cli('token', '--user', 'ana', '--info', 'Ana');
    assert.match(wrong.stderr, /--info must be JSON/);
    assert.equal(wrong.stdout, '');
  });

  test('signs with the keys of other issuers, by every algorithm', async () => {
    const kinds = {
      RS256: rsa(), PS512: rsa(), ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
      ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }), EdDSA: generateKeyPairSync('ed25519'),
    };
    const secret = file('a-secret-of-another-issuer');
    const entries = Object.entries(kinds).map(([algorithm, pair]) =>
      `[[client.token.issuers]]\niss = "${algorithm}"\nalgorithms = ["${algorithm}"]\nkey = """${pem(pair.publicKey)}"""\n`);
    const server = await start({ config: `${entries.join('')}[[client.token.issuers]]\niss = "HS512"\nalgorithms = ["HS512"]\nsecret_file = "${secret}"\n` });
    for (const [algorithm, key] of [...Object.entries(kinds).map(([algorithm, pair]) => [algorithm, file(privatePem(pair.privateKey))]), ['HS512', secret]]) {
      const { code, stdout, stderr } = await server.cli('token', '--user', 'ana', '--iss', algorithm, '--key', key, '--algorithm', algorithm);
      assert.equal(code, 0, stderr);
      assert.equal(await outcome(server, stdout.trim()), 0, algorithm);
      const explained = await server.cli('token', 'explain', stdout.trim());
      assert.equal(explained.code, 0, explained.stderr);
      assert.match(explained.stdout, /result: good for a connection of user "ana"/);
    }
    const mixed = await server.cli('token', '--user', 'ana', '--key', secret, '--algorithm', 'RS256');
    assert.match(mixed.stderr, /no RSA private key in PEM/);
    const unknown = await server.cli('token', '--user', 'ana', '--key', secret, '--algorithm', 'none');
    assert.match(unknown.stderr, /--algorithm none is none of HS256/);
  });

  test('explain says what is wrong and what to do, without a running server, and no secret', async () => {
    const server = await start({ config: '[[client.token.issuers]]\niss = "login"\nalgorithms = ["RS256"]\njwks_url = "http://127.0.0.1:1/keys"\n' });
    await server.stop();
    const explain = async (token, from) => {
      const { code, stdout, stderr } = from === 'stdin' ? await server.cliWithInput(`${token}\n`, 'token', 'explain') : await server.cli('token', 'explain', token);
      assert.ok(!`${stdout}${stderr}`.includes(TOKEN_SECRET));
      return { code, stdout };
    };
    const good = await explain(tokenFor('ana', { jti: 'x' }), 'stdin');
    assert.equal(good.code, 0);
    assert.match(good.stdout, /header alg: "HS256"/);
    assert.match(good.stdout, /claim sub: "ana" \(the application's name for the user\)/);
    assert.match(good.stdout, /signed by: the token secret/);
    assert.match(good.stdout, /whether it was revoked, or its user is blocked, the running server alone says/);
    for (const [token, why, what] of [
      [tokenFor('ana', { ttl: -60 }), /why: it has expired/, /what to do: make a new one/],
      [jwt({ sub: 'ana' }), /why: it has no claim `exp`/, /change what the backend writes/],
      [jwt({ sub: 'ana', exp: now() + 60 }, { secret: 'another-secret-of-somebody' }), /its signature is not that of the token secret/, /sign with the key/],
      [jwt({ sub: 'ana', exp: now() + 60 }, { header: { alg: 'none' } }), /`alg` is one of HS256/, /sign with the key/],
      [signed(rsa().privateKey, { alg: 'RS256', kid: 'a', iss: 'login' }), /its address does not give the keys/, /look at the address/],
      ['nonsense', /three parts with dots/, /sign with the key/],
    ]) {
      const { code, stdout } = await explain(token);
      assert.notEqual(code, 0);
      assert.match(stdout, why);
      assert.match(stdout, what);
    }
  });
});
