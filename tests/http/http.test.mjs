// HTTP and the opening handshake as the running server answers them.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';

import { Person, api, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { SECRETS } from '../harness/tokens.mjs';
import { within } from '../harness/wait.mjs';

let server, ana;
before(async () => {
  server = await Server.start({ env: SECRETS });
  ana = await Person.setUp(server);
});
after(() => server.kill());

/** Bytes out, and the bytes that came back until the head ended or the connection closed. */
async function raw(text, port = server.port) {
  const socket = net.connect(port, '127.0.0.1');
  socket.setEncoding('latin1');
  socket.on('error', () => {});
  let answer = '';
  const head = new Promise((resolve) => {
    socket.on('data', (piece) => {
      answer += piece;
      if (answer.includes('\r\n\r\n')) resolve();
    });
    socket.on('close', resolve);
  });
  socket.write(text);
  await within(5_000, `an answer to ${text.slice(0, 80)}`, head);
  socket.destroy();
  const [first, ...lines] = answer.split('\r\n\r\n')[0].split('\r\n');
  const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
  return { status: Number(first.split(' ')[1]), headers, text: answer };
}

const UPGRADE = {
  Host: () => `127.0.0.1:${server.port}`,
  Upgrade: () => 'websocket',
  Connection: () => 'Upgrade',
  'Sec-WebSocket-Version': () => '13',
  'Sec-WebSocket-Key': () => 'dGhlIHNhbXBsZSBub25jZQ==',
};

/** An opening handshake with some headers changed, or left out where null. */
function handshake(changed = {}, { method = 'GET', path = '/connection/websocket', version = 'HTTP/1.1' } = {}) {
  const headers = { ...Object.fromEntries(Object.entries(UPGRADE).map(([name, value]) => [name, value()])), ...changed };
  const lines = Object.entries(headers).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`);
  return raw(`${method} ${path} ${version}\r\n${lines.join('')}\r\n`);
}

test('GET, HEAD, POST, PUT, DELETE and OPTIONS are answered as RFC 9110 says (0.1, 1.12)', async () => {
  assert.equal((await ana.get('/v1/rooms')).status, 200);
  const room = await ana.post('/v1/rooms', { name: 'Methods' });
  assert.equal(room.status, 201);
  assert.equal(room.headers.location, `/v1/rooms/${room.json.id}`);
  assert.equal((await ana.put(`/v1/rooms/${room.json.id}/members/me`, {})).status, 200);
  assert.equal((await ana.delete(`/v1/rooms/${room.json.id}/members/me`)).status, 204);
  const get = await request(`${server.url}/`);
  const head = await request(`${server.url}/`, { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(head.text, '');
  assert.equal(head.headers['content-type'], get.headers['content-type']);
  const options = await ana.request('OPTIONS', '/v1/rooms');
  assert.ok([200, 204].includes(options.status), `${options.status}`);
  for (const method of ['GET', 'HEAD', 'POST']) assert.ok(options.headers.allow?.includes(method), options.headers.allow);
});

test('another method is 405 and Allow names the right ones (1.12)', async () => {
  for (const [method, path, allowed] of [
    ['PUT', '/v1/rooms', ['GET', 'POST']],
    ['PATCH', '/v1/session', ['POST', 'DELETE']],
    ['POST', '/v1/me', ['GET']],
    ['DELETE', '/healthz', ['GET']],
    ['POST', '/openapi.json', ['GET']],
    ['GET', '/api/publish', ['POST']],
    ['POST', '/connection/websocket', ['GET']],
  ]) {
    const answer = await ana.request(method, path, method === 'GET' ? undefined : {}, { 'x-api-key': SECRETS.TIDINGS_API_KEY });
    assert.equal(answer.status, 405, `${method} ${path}: ${answer.status}`);
    for (const word of allowed) assert.ok(answer.headers.allow?.includes(word), `${method} ${path}: ${answer.headers.allow}`);
  }
});

test('errors of the REST API are problem documents with a code (RFC 9457)', async () => {
  for (const answer of [
    await ana.get('/v1/nothing-here'),
    await ana.get('/v1/rooms/01890000-0000-7000-8000-000000000000'),
    await ana.get('/v1/rooms/not-an-id'),
    await ana.post('/v1/rooms', '{"name":'),
    await ana.post('/v1/rooms', { name: '' }),
    await ana.request('PUT', '/v1/rooms', {}),
    await new Person(server).get('/v1/me'),
  ]) {
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}`);
    assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/, `${answer.status} ${answer.text}`);
    assert.equal(answer.json.status, answer.status);
    assert.ok(answer.json.title && answer.json.code, answer.text);
  }
});

test('the page is one shell for every view; its socket address follows the request\'s host (3.4, 3.5, 3.6)', async () => {
  for (const path of ['/', '/setup', '/invite', '/rooms/01890000-0000-7000-8000-000000000000']) {
    const page = await request(server.url + path, { headers: { host: `chat.localhost:${server.port}` } });
    assert.equal(page.status, 200, path);
    assert.match(page.headers['content-type'], /^text\/html/);
    assert.ok(page.text.replaceAll('&#x2f;', '/').replaceAll('&#34;', '"').replaceAll('&quot;', '"').includes(`ws://chat.localhost:${server.port}/connection/websocket`), page.text);
  }
});

test('a host name that would break out of the page is harmless (4.34)', async () => {
  const page = await raw(`GET / HTTP/1.1\r\nHost: "><script>alert(1)</script>\r\nConnection: close\r\n\r\n`);
  assert.ok(!page.text.includes('<script>alert'), page.text);
});

test('the page carries the content security policy and its companions (S46, S47)', async () => {
  const { headers } = await request(`${server.url}/`);
  const policy = headers['content-security-policy'];
  for (const rule of ["default-src 'self'", "script-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "connect-src 'self'"]) {
    assert.ok(policy.includes(rule), `${rule} in ${policy}`);
  }
  assert.ok(!policy.includes('unsafe'), policy);
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.match(headers['referrer-policy'], /^(no-referrer|same-origin)$/);
  assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
});

test('assets are immutable and named by their content', async (t) => {
  const { text } = await request(`${server.url}/`);
  const paths = [...text.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((found) => found[1]);
  if (paths.length === 0) return t.skip('the web UI is not built into this server');
  for (const path of paths) {
    const asset = await request(server.url + path);
    assert.equal(asset.status, 200, path);
    assert.match(asset.headers['cache-control'], /immutable/);
  }
  assert.equal((await request(`${server.url}/assets/none.js`)).status, 404);
  assert.equal((await request(`${server.url}/assets/..%2f..%2fCargo.toml`)).status, 404);
});

test('the opening handshake is accepted with the key of RFC 6455 and any spelling of its tokens (4.9)', async () => {
  const answer = await handshake();
  assert.equal(answer.status, 101);
  assert.equal(answer.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  assert.equal((await handshake({ Upgrade: 'WebSocket', Connection: 'keep-alive, upgrade' })).status, 101);
  assert.equal((await handshake({}, { path: '/connection/websocket?cf_protocol_version=v2&x=1' })).status, 101);
  assert.equal((await handshake({ 'Sec-WebSocket-Protocol': '' })).status, 101);
});

test('what is wrong with a handshake is said by its status (4.7, S04)', async () => {
  const version = await handshake({ 'Sec-WebSocket-Version': '8' });
  assert.equal(version.status, 426);
  assert.equal(version.headers['sec-websocket-version'], '13');
  assert.match(version.headers['x-request-id'], /^[0-9a-f]{32}$/);
  const key = await handshake({ 'Sec-WebSocket-Key': null });
  assert.equal(key.status, 400);
  assert.match(key.headers['x-request-id'], /^[0-9a-f]{32}$/);
  assert.equal((await handshake({ 'Sec-WebSocket-Key': 'short' })).status, 400);
  const post = await handshake({ 'Content-Length': '0' }, { method: 'POST' });
  assert.equal(post.status, 405);
  assert.match(post.headers.allow, /GET/);
  assert.ok([400, 426].includes((await handshake({ Upgrade: 'h2c' })).status));
});

test('plain HTTP on the socket\'s route is told to upgrade, and an upgrade elsewhere gets the page (4.6, 4.8)', async () => {
  const plain = await request(server.websocketUrl.replace('ws:', 'http:'));
  assert.ok([400, 426].includes(plain.status), `${plain.status}`);
  assert.match(plain.text, /websocket/i);
  const page = await handshake({ Connection: 'Upgrade' }, { path: '/' });
  assert.equal(page.status, 200);
});

test('a foreign Origin is 403 before the 101, whatever it resembles (S01, S03)', async () => {
  const own = `127.0.0.1:${server.port}`;
  for (const origin of ['https://evil.example', 'null', `http://${own}.evil.example`, `http://evil.example/${own}`, `http://127.0.0.1:${server.port + 1}`, `http://localhost:${server.port}`, `http://x@${own}.evil`]) {
    const answer = await handshake({ Origin: origin, Cookie: ana.cookie });
    assert.equal(answer.status, 403, origin);
  }
  assert.equal((await handshake({ Origin: `http://${own}` })).status, 101);
});

test('the scheme of an Origin is compared with the connection\'s, or with what a trusted proxy says of it (S01)', async (t) => {
  const own = `127.0.0.1:${server.port}`;
  assert.equal((await handshake({ Origin: `https://${own}`, Cookie: ana.cookie })).status, 403);
  // Nobody believes a stranger's word for it.
  assert.equal((await handshake({ Origin: `https://${own}`, 'X-Forwarded-Proto': 'https' })).status, 403);
  const refused = await ana.post('/v1/rooms', { name: 'By HTTPS' }, { origin: `https://${own}` });
  assert.equal(refused.status, 403);
  assert.match(refused.json.detail, /public_url.*trusted_proxies/, 'whoever put a proxy in front is told what to do');

  const behind = await Server.start({ env: SECRETS, args: ['--trusted-proxies', '127.0.0.1'] });
  t.after(() => behind.kill());
  const upgrade = async (origin, field) => {
    const lines = ['GET /connection/websocket HTTP/1.1', 'Host: chat.example.org', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', `Origin: ${origin}`, field];
    return (await raw(`${lines.filter(Boolean).join('\r\n')}\r\n\r\n`, behind.port)).status;
  };
  for (const said of ['X-Forwarded-Proto: https', 'Forwarded: for=203.0.113.7;proto=https', 'X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https']) {
    assert.equal(await upgrade('https://chat.example.org', said), 101, said);
    assert.equal(await upgrade('http://chat.example.org', said), 403, said);
  }
  assert.equal(await upgrade('http://chat.example.org', ''), 101);
  assert.equal(await upgrade('https://chat.example.org', ''), 403);
});

test('a public URL fixes the allowed origin, the links and the kind of cookie (S03)', async (t) => {
  const behind = await Server.start({ args: ['--public-url', 'https://chat.example.org'] });
  t.after(() => behind.kill());
  await behind.setupCode();
  assert.ok(behind.output.includes('https://chat.example.org/setup#'), behind.output);
  const { text } = await request(`${behind.url}/`);
  assert.match(text, /wss:(\/|&#x2f;){2}chat\.example\.org/);
  const upgrade = (origin) => raw(`GET /connection/websocket HTTP/1.1\r\nHost: chat.example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: ${origin}\r\n\r\n`, behind.port);
  assert.equal((await upgrade('https://chat.example.org')).status, 101);
  for (const origin of ['http://chat.example.org', 'https://chat.example.org.evil.example', 'https://chat.example.org:8443', behind.url]) {
    assert.equal((await upgrade(origin)).status, 403, origin);
  }
});

test('what changes state needs the same origin and JSON (S45)', async () => {
  const before = (await ana.get('/v1/rooms')).json.rooms.length;
  const name = 'From elsewhere';
  assert.equal((await ana.post('/v1/rooms', { name }, { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' })).status, 403);
  assert.equal((await ana.post('/v1/rooms', { name }, { origin: 'null', 'sec-fetch-site': 'cross-site' })).status, 403);
  assert.equal((await ana.post('/v1/rooms', { name }, { 'sec-fetch-site': 'same-site', origin: `http://other.127.0.0.1:${server.port}` })).status, 403);
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
    assert.equal((await ana.post('/v1/rooms', { name }, { 'content-type': type })).status, 415, type);
  }
  assert.equal((await ana.get('/v1/rooms')).json.rooms.length, before);
});

test('no GET changes a row of the database, of all routes that there are (S45)', async () => {
  const message = (await ana.say(ana.room.id, 'to be asked for')).json;
  const revoked = await ana.createRoom('Without an invite');
  assert.equal((await ana.delete(`/v1/rooms/${revoked.id}/invite`)).status, 204);
  // All rows but those in which commits are counted.
  const rows = async (but = []) => (await server.rows()).filter(({ table }) => !['mark', 'commits', ...but].includes(table));
  const told = ['rooms', 'messages', 'room_events'];
  const [before, untold] = [await rows(), await rows(told)];

  const { json } = await request(`${server.url}/openapi.json`);
  const routes = Object.entries(json.paths).filter(([, item]) => item.get).map(([path]) => path);
  assert.ok(routes.length >= 9, `${routes.length} routes`);
  for (const room of [ana.room, revoked]) {
    for (const path of ['/', '/invite', ...routes]) {
      const place = path.replace('{room}', room.id).replace('{message}', message.id).replace('{person}', ana.id).replace('{emoji}', encodeURIComponent('👍'));
      assert.doesNotMatch(place, /\{/, 'every part of a path has a value here');
      const query = path === '/v1/profiles' ? `?people=${ana.id}` : '';
      const expected = room === revoked && /invite$|\{message\}/.test(path) && path !== '/invite' ? 404 : 200;
      for (const method of ['GET', 'HEAD']) {
        const answer = await ana.request(method, place + query, undefined, { 'x-api-key': SECRETS.TIDINGS_API_KEY });
        assert.equal(answer.status, expected, `${method} ${place}`);
      }
    }
  }
  assert.deepEqual(await rows(), before);
  // What a GET had left to be written later would be there with this, which shows that a change is seen.
  await ana.say(ana.room.id, 'a change');
  assert.notDeepEqual(await rows(), before);
  assert.deepEqual(await rows(told), untold);
});

test('the server API needs its key, takes JSON whatever its type is called, and says what is wrong', async () => {
  const call = (headers, body = '{"channel":"news","data":1}') => request(`${server.url}/api/publish`, { method: 'POST', headers, body });
  const key = SECRETS.TIDINGS_API_KEY;
  assert.equal((await call({})).status, 401);
  assert.equal((await call({ 'x-api-key': 'wrong' })).status, 401);
  assert.equal((await call({ cookie: ana.cookie, origin: server.url })).status, 401);
  assert.equal((await call({ 'x-api-key': key })).status, 200);
  for (const scheme of ['apikey', 'ApiKey', 'APIKEY']) assert.equal((await call({ authorization: `${scheme} ${key}` })).status, 200, scheme);
  assert.equal((await call({ authorization: `Bearer ${key}` })).status, 401);
  assert.equal((await call({ 'x-api-key': key, 'content-type': 'text/plain' })).status, 200);
  assert.equal((await call({ 'x-api-key': key }, '{"channel":')).status, 400);
  assert.equal((await call({ 'x-api-key': key }, '{"channel":"","data":1}')).json.error.code, 107);
  const unknown = await request(`${server.url}/api/dance`, { method: 'POST', headers: { 'x-api-key': key }, body: '{}' });
  assert.ok(unknown.status === 404 || unknown.json?.error?.code === 104, unknown.text);
});

test('the server API publishes, reads history and presence, and tells about itself', async () => {
  const { json: published } = await api(server, 'publish', { channel: 'api', data: { n: 1 } });
  assert.equal(published.result.offset, 1);
  const { json: history } = await api(server, 'history', { channel: 'api', limit: 10 });
  assert.deepEqual(history.result.publications.map((one) => [one.offset, one.data]), [[1, { n: 1 }]]);
  assert.equal(history.result.epoch, published.result.epoch);
  assert.deepEqual((await api(server, 'presence', { channel: 'api' })).json.result.presence, {});
  assert.deepEqual((await api(server, 'presence_stats', { channel: 'api' })).json.result, { num_clients: 0, num_users: 0 });
  const { json: info, text } = await api(server, 'info', {});
  assert.match(text, /"rss":\d+[,}]/, 'whole numbers are written as such');
  assert.equal(info.result.nodes.length, 1);
  assert.ok(info.result.nodes[0].version);
});

test('in the server API a member that is null is absent, but for data, and a missing channel is 107', async () => {
  const call = async (method, params) => (await api(server, method, params)).json;
  const published = await call('publish', { channel: 'nulls', data: null, tags: null, skip_history: null });
  assert.equal(published.result?.offset, 1, JSON.stringify(published));
  const { result } = await call('history', { channel: 'nulls', limit: -1, since: null, reverse: null });
  assert.deepEqual(result.publications.map((one) => one.data), [null]);
  assert.ok((await call('broadcast', { channels: ['nulls'], data: 1, tags: null, skip_history: null })).result);
  assert.ok((await call('channels', { pattern: null })).result);
  for (const [method, params] of [
    ['publish', { data: 1 }],
    ['publish', { channel: null, data: 1 }],
    ['publish', { channel: 'nulls' }],
    ['broadcast', { data: 1 }],
    ['broadcast', { channels: null, data: 1 }],
    ['broadcast', { channels: ['nulls'] }],
    ['history', {}],
    ['history', { channel: null }],
    ['presence', {}],
    ['presence_stats', { channel: null }],
  ]) {
    const answer = await call(method, params);
    const { error } = answer.result?.responses?.[0] ?? answer;
    assert.equal(error?.code, 107, `${method} ${JSON.stringify(params)}: ${JSON.stringify(answer)}`);
  }
});

test('what a pattern and tags of the server API may hold is bounded, and more is 107', async () => {
  const code = async (method, params) => (await api(server, method, params)).json.error?.code;
  const tags = (number, value = '') => Object.fromEntries(Array.from({ length: number }, (_, n) => [`t${n}`, value]));
  assert.equal(await code('channels', { pattern: '*'.repeat(255) }), undefined);
  assert.equal(await code('channels', { pattern: '*'.repeat(256) }), 107);
  assert.equal(await code('publish', { channel: 'tagged', data: 1, tags: tags(64) }), undefined);
  assert.equal(await code('publish', { channel: 'tagged', data: 1, tags: tags(65) }), 107);
  assert.equal(await code('publish', { channel: 'tagged', data: 1, tags: tags(5, 'x'.repeat(1_000)) }), 107);
  assert.equal(await code('broadcast', { channels: ['tagged'], data: 1, tags: tags(65) }), 107);
  assert.equal((await api(server, 'history', { channel: 'tagged', limit: 9 })).json.result.publications.length, 1);
});

test('tags of the server API that are null are absent, an empty idempotency key is none, and a list is no object', async () => {
  const { json } = await api(server, 'publish', { channel: 'absent', data: 1, tags: { a: null, b: 'c' }, idempotency_key: '' });
  assert.equal(json.result.offset, 1);
  assert.equal((await api(server, 'publish', { channel: 'absent', data: 2, idempotency_key: '' })).json.result.offset, 2);
  const { publications } = (await api(server, 'history', { channel: 'absent', limit: 9 })).json.result;
  assert.deepEqual(publications.map(({ data, tags }) => [data, tags]), [[1, { b: 'c' }], [2, undefined]]);
  for (const [method, body] of [['info', []], ['publish', ['absent', 1]], ['history', ['absent', 1]]]) {
    const answer = await api(server, method, body);
    assert.deepEqual([answer.status, /must be an object/.test(answer.text)], [400, true], method);
  }
});

test('a body of the server API may have 1 MiB, and its history is cut at 512 KiB, to be asked on from there', async () => {
  const MIB = 1024 * 1024;
  const call = (bytes) => api(server, 'publish', { channel: `large-${bytes}`, data: 'x'.repeat(bytes) });
  assert.ok((await call(MIB - 60)).json.result);
  assert.equal((await call(MIB)).status, 413);

  for (let n = 0; n < 12; n += 1) await api(server, 'publish', { channel: 'pages', data: { n, filler: 'x'.repeat(80_000) } });
  const read = [];
  let since = { offset: 0 };
  for (;;) {
    const { text, json } = await api(server, 'history', { channel: 'pages', limit: -1, since });
    if (json.result.publications.length === 0) break;
    assert.ok(text.length < 530_000, `a page of ${text.length} bytes`);
    read.push(...json.result.publications.map((one) => one.data.n));
    since = { offset: json.result.publications.at(-1).offset, epoch: json.result.epoch };
  }
  assert.deepEqual(read, Array.from({ length: 12 }, (_, n) => n));
  // A single one comes, however large it is.
  assert.equal((await api(server, 'history', { channel: `large-${MIB - 60}`, limit: 10 })).json.result.publications.length, 1);
});

test('pages of messages and events are cut at 512 KiB and say that there is more', { timeout: 60_000 }, async (t) => {
  const own = await Server.start({ env: SECRETS, args: ['--rate-limits', 'false'] });
  t.after(() => own.kill());
  const bea = await Person.setUp(own);
  const room = bea.room.id;
  const body = (n) => `${n} ${'"'.repeat(16_000)}`; // a quote takes two bytes in JSON
  for (let n = 0; n < 40; n += 1) assert.equal((await bea.say(room, body(n))).status, 201);
  const number = (message) => Number(message.body.split(' ')[0]);
  const forty = Array.from({ length: 40 }, (_, n) => n);

  const read = async (from) => {
    const { text, json } = await bea.get(`/v1/rooms/${room}/messages?limit=200${from}`);
    t.diagnostic(`a page of ${text.length} bytes, ${json.messages.length} messages, more: ${json.more}`);
    assert.ok(text.length < 530_000, `${text.length} bytes`);
    return json;
  };
  // The newest page ends with the newest message, a page before it where it begins, and a page after goes on upwards.
  const newest = await read('');
  const before = await read(`&before=${newest.messages[0].number}`);
  const oldest = await read(`&before=${before.messages[0].number}`);
  assert.deepEqual([newest.more, before.more, oldest.more], [true, true, false]);
  assert.deepEqual([...oldest.messages, ...before.messages, ...newest.messages].map(number), forty);
  const first = await read('&after=0');
  assert.deepEqual([number(first.messages[0]), first.more], [0, true]);

  const events = await bea.events(room);
  const posted = events.filter((one) => one.type === 'message.posted').map((one) => number(one.message));
  assert.deepEqual(posted, forty);
});

test('health, readiness and metrics are there for whoever looks after it', async () => {
  assert.equal((await request(`${server.url}/healthz`)).status, 200);
  assert.equal((await request(`${server.url}/readyz`)).status, 200);
  for (const headers of [{ 'x-api-key': SECRETS.TIDINGS_API_KEY }, { authorization: `ApiKey ${SECRETS.TIDINGS_API_KEY}` }]) {
    const metrics = await request(`${server.url}/metrics`, { headers });
    assert.equal(metrics.status, 200);
    for (const word of [/connections/, /subscriptions/, /messages/, /_bucket\{/, /process_/]) assert.match(metrics.text, word);
  }
});

test('metrics need the key, on this machine and behind a proxy, whatever it adds (S67)', async () => {
  for (const headers of [{}, { 'x-forwarded-for': '203.0.113.7' }, { forwarded: 'for=203.0.113.7' }, { host: 'chat.example.org' }]) {
    assert.equal((await request(`${server.url}/metrics`, { headers })).status, 401, JSON.stringify(headers));
    assert.equal((await request(`${server.url}/metrics`, { headers: { ...headers, 'x-api-key': SECRETS.TIDINGS_API_KEY } })).status, 200);
  }
});

test('metrics are open to this machine itself where the configuration says so, and to no proxy that shows (S67)', async (t) => {
  const open = await Server.start({ env: SECRETS, config: 'metrics_open_to_loopback = true\n' });
  t.after(() => open.kill());
  assert.equal((await request(`${open.url}/metrics`)).status, 200);
  for (const headers of [{ 'x-forwarded-for': '203.0.113.7' }, { via: '1.1 proxy' }, { host: 'chat.example.org' }]) {
    assert.equal((await request(`${open.url}/metrics`, { headers })).status, 401, JSON.stringify(headers));
  }
});

// That it describes all of them is a test of the router's own, which knows its routes.
test('every operation that the OpenAPI document describes is there', async () => {
  const { json, headers } = await request(`${server.url}/openapi.json`);
  assert.match(headers['content-type'], /^application\/json/);
  assert.match(json.openapi, /^3\./);
  const operations = Object.entries(json.paths).flatMap(([path, item]) => Object.keys(item).map((method) => [method.toUpperCase(), path]));
  assert.ok(operations.length > 20, `${operations.length} operations`);
  for (const [method, path] of operations) {
    const { status, headers: said } = await request(server.url + path.replaceAll(/\{\w+\}/g, 'x'), { method: 'OPTIONS' });
    assert.equal(status, 204, path);
    assert.ok(said.allow?.split(',').includes(method), `${method} ${path}: ${said.allow}`);
  }
});

test('a request head that is too large is 431 (S05), and a broken one 400', async () => {
  assert.equal((await raw(`GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'a'.repeat(70_000)}\r\n\r\n`)).status, 431);
  const many = Array.from({ length: 500 }, (_, n) => `X-${n}: 1\r\n`).join('');
  assert.equal((await raw(`GET / HTTP/1.1\r\nHost: x\r\n${many}\r\n`)).status, 431);
  assert.equal((await raw('NONSENSE\r\n\r\n')).status, 400);
});

test('a body that is too large is 413', async () => {
  const answer = await ana.post('/v1/rooms', JSON.stringify({ name: 'x', topic: 'y'.repeat(2_000_000) }));
  assert.equal(answer.status, 413);
});

test('a thousand requests at once are all answered (0.3, 0.7, 3.3)', async () => {
  const agent = new http.Agent({ maxSockets: 1_000 });
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => request(`${server.url}/healthz`, { agent })));
  assert.ok(answers.every((answer) => answer.status === 200));
});
