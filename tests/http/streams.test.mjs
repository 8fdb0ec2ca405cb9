// Live connections over plain HTTP, by hand: what each request is answered, who may ask, and what ends a stream.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';

import { TLS, noCertificate } from '../harness/certificate.mjs';
import { Person, api, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { Stream, emulate } from '../harness/streams.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';
import { until, within } from '../harness/wait.mjs';

const LISTED = 'https://app.example.org';
const STREAMS = ['/connection/http_stream', '/connection/sse', '/connection/uni_http_stream', '/connection/uni_sse'];
const NEVER_CACHED = 'private, no-cache, no-store, must-revalidate, max-age=0';
const json = { 'content-type': 'application/json' };

let server;
before(async () => (server = await Server.start({ env: SECRETS, args: ['--allowed-origins', LISTED] })));
after(() => server.kill());

const at = (path) => `${server.url}${path}`;
const connect = (user = 'ana', path = '/connection/http_stream', options) => Stream.connect(at(path), { token: tokenFor(user) }, options);
const numClients = async (channel) => (await api(server, 'presence_stats', { channel })).json.result.num_clients;

test('a stream is 200 and never cached, and proxies that know it do not hold it back', async () => {
  for (const [path, type] of [['/connection/http_stream', 'application/json'], ['/connection/sse', 'text/event-stream']]) {
    const stream = await connect('ana', path);
    assert.equal(stream.status, 200);
    assert.equal(stream.headers['content-type'], type);
    assert.equal(stream.headers['cache-control'], NEVER_CACHED);
    assert.equal(stream.headers['x-accel-buffering'], 'no');
    assert.equal(stream.headers['referrer-policy'], 'no-referrer');
    assert.match(stream.connected.session, /^[0-9a-f-]{36}$/);
    assert.match(stream.connected.node, /./);
    assert.deepEqual([stream.connected.ping, stream.connected.pong], [25, true]);
    stream.close();
  }
});

test('an event stream begins at once, and each message is an event', async () => {
  const stream = await Stream.open(at(`/connection/sse?cf_connect=${encodeURIComponent(JSON.stringify({ id: 1, connect: { token: tokenFor('ana') } }))}`), { method: 'GET' });
  const { connect: connected } = await stream.next();
  assert.match(stream.text, /^\r\ndata: \{"id":1,"connect":\{.*\}\n\n$/);
  stream.connected = connected;
  // Replies that leave together are events by themselves or lines of one: the same to the SDK, which splits them.
  await stream.send({ id: 2, subscribe: { channel: 'one' } }, { id: 3, subscribe: { channel: 'two' } });
  for (const id of [2, 3]) assert.equal((await stream.next()).id, id);
  stream.close();
});

test('line breaks in what others publish do not break a line or an event', async () => {
  for (const path of ['/connection/http_stream', '/connection/sse']) {
    const stream = await connect('ana', path);
    await stream.subscribe('broken');
    const body = '{"channel":"broken","data":{"a":\r1,\n"b":\r\n\r\n"x\\n\\ndata: y\u2028"}}';
    assert.equal((await request(at('/api/publish'), { method: 'POST', headers: { 'x-api-key': server.apiKey }, body })).status, 200);
    const { push } = await stream.next();
    assert.deepEqual(push.pub.data, { a: 1, b: 'x\n\ndata: y\u2028' });
    stream.close();
  }
});

test('what opens no stream is said by its status', async () => {
  const long = JSON.stringify({ id: 1, connect: { token: 'x'.repeat(70_000) } });
  for (const [method, path, body, status, headers = json] of [
    ['GET', '/connection/http_stream', undefined, 405],
    ['PUT', '/connection/sse', '{}', 405],
    ['GET', '/connection/uni_http_stream', undefined, 405],
    ['GET', '/emulation', undefined, 405],
    ['GET', '/connection/sse', undefined, 400],
    ['GET', '/connection/sse?cf_connect=', undefined, 400],
    ['GET', '/connection/sse?cf_connect=1&cf_connect=2', undefined, 400],
    ['POST', '/connection/sse', '', 400],
    ['POST', '/connection/http_stream', '', 400],
    ['POST', '/connection/uni_http_stream', '', 400],
    ['POST', '/connection/http_stream', long, 413],
    ['POST', '/connection/sse', long, 413],
    ['POST', '/connection/uni_sse', long, 413],
    ['POST', '/emulation', `"${'x'.repeat(140_000)}"`, 413],
    ['POST', '/emulation', 'nonsense', 400],
    ['POST', '/emulation', '', 400],
    ['POST', '/emulation', '{"session":"x","node":"y","data":{}}', 400],
    ['POST', '/emulation', '{"session":"x","node":"y","data":"{}"}', 404],
    ['POST', '/emulation', Buffer.from([255, 255, 255]), 400, { 'content-type': 'application/octet-stream' }],
  ]) {
    const answer = await request(at(path), { method, headers, body });
    assert.equal(answer.status, status, `${method} ${path} ${String(body).slice(0, 60)}`);
    assert.match(answer.headers['content-type'], /^application\/problem\+json/);
    assert.ok(answer.json.detail && answer.headers['x-request-id'], path);
    if (status === 405) assert.match(answer.headers.allow, /POST/);
  }
});

test('what breaks the protocol ends the stream with its code as the last push', async () => {
  for (const [body, code] of [
    ['nonsense', 3501],
    ['{}', 3501],
    [JSON.stringify({ id: 1, subscribe: { channel: 'x' } }), 3501],
    [JSON.stringify({ id: 1, connect: { token: 'forged' } }), 3500],
    [JSON.stringify({ id: 1, connect: {} }), 3501],
  ]) {
    const stream = await Stream.open(at('/connection/http_stream'), { body });
    assert.equal(stream.status, 200);
    assert.equal((await stream.farewell()).code, code, body);
    assert.equal(await within(2_000, 'the stream ends', stream.ended), 'whole');
  }
  const expired = await Stream.open(at('/connection/http_stream'), { body: JSON.stringify({ id: 1, connect: { token: tokenFor('ana', { ttl: -5 }) } }) });
  assert.equal((await expired.next()).error.code, 109);
  expired.close();
});

test('the uplink is 204, also when the session is gone, and what it carries is done in order of arrival', async () => {
  const stream = await connect();
  const { session, node } = stream.connected;
  assert.equal((await stream.subscribe('orders')).subscribe.recoverable, true);
  for (let n = 0; n < 20; n += 1) assert.equal((await stream.send({ id: 100 + n, publish: { channel: 'orders', data: n } })).status, 204);
  const numbers = [];
  while (numbers.length < 20) numbers.push(...[(await stream.next()).push?.pub?.data].filter((data) => data !== undefined));
  assert.deepEqual(numbers, Array.from({ length: 20 }, (_, n) => n));
  stream.close();
  await until('it has left', async () => (await numClients('orders')) === 0);
  const late = await emulate(server.url, { session, node, data: '{"id":9,"publish":{"channel":"orders","data":"late"}}' });
  assert.deepEqual([late.status, late.text], [204, '']);
  const { json: history } = await api(server, 'history', { channel: 'orders', limit: 100 });
  assert.equal(history.result.publications.some(({ data }) => data === 'late'), false);
});

test('a command that overtakes another on its way is done when it comes', async () => {
  const stream = await connect();
  // As if the subscribe had been sent first: presence, publish and history know no order.
  for (const command of [{ publish: { channel: 'fast', data: 1 } }, { presence_stats: { channel: 'fast' } }, { subscribe: { channel: 'fast' } }, { unsubscribe: { channel: 'other' } }]) {
    const reply = await stream.ask(command);
    assert.equal(reply.error, undefined, JSON.stringify(reply));
  }
  // A second connect, or another command before the first, is what it is over WebSocket.
  assert.equal((await stream.send({ id: 9, connect: {} })).status, 204);
  assert.equal((await stream.farewell()).code, 3501);
});

test('a frame of the uplink may have 64 KiB, however much its quotes take on the way', async () => {
  const stream = await connect();
  const publish = (bytes) => JSON.stringify({ id: 5, publish: { channel: 'long', data: '"'.repeat(bytes) } });
  const fits = publish(32_000);
  assert.ok(fits.length < 65_536 && JSON.stringify(fits).length > 120_000);
  assert.equal((await emulate(server.url, { session: stream.connected.session, node: stream.connected.node, data: fits })).status, 204);
  assert.deepEqual(await stream.next(), { id: 5, publish: {} });
  assert.equal((await emulate(server.url, { session: stream.connected.session, node: stream.connected.node, data: 'x'.repeat(65_537) })).status, 413);
  stream.close();
});

test('nobody speaks for a connection without its session, nor from another site than it was opened from (S18, S32)', async (t) => {
  const ana = await connect();
  const { session, node } = ana.connected;
  await ana.subscribe('mine');
  const data = JSON.stringify({ id: 66, publish: { channel: 'mine', data: 'not mine' } });
  // Guessed, shortened, of another letter case, of another node.
  for (const [other, where, status] of [
    [session.replace(/^./, (first) => (first === '0' ? '1' : '0')), node, 204],
    [session.slice(0, -1), node, 204],
    [session.toUpperCase(), node, 204],
    ['', node, 204],
    [session, 'another', 404],
    [session, '', 404],
  ]) assert.equal((await emulate(server.url, { session: other, node: where, data })).status, status, `${other} ${where}`);

  const page = await Stream.connect(at('/connection/http_stream'), { token: tokenFor('ben') }, { headers: { origin: server.url } });
  t.after(() => page.close());
  const ofPage = { session: page.connected.session, node, data };
  for (const origin of [LISTED, undefined]) {
    assert.equal((await emulate(server.url, ofPage, origin ? { origin } : {})).status, 403, `${origin}`);
  }
  assert.equal((await emulate(server.url, ofPage, { origin: 'https://evil.example' })).status, 403);
  const binary = await request(at('/emulation'), { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: emulationRequest(node, session, Buffer.from([0])) });
  assert.equal(binary.status, 400, 'in another form than the stream');

  await ana.ask({ presence_stats: { channel: 'mine' } });
  const { json: history } = await api(server, 'history', { channel: 'mine', limit: 10 });
  assert.deepEqual(history.result.publications, []);
  ana.close();
});

/** An EmulationRequest in protobuf. */
function emulationRequest(node, session, data) {
  const field = (number, bytes) => Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
  return Buffer.concat([field(1, Buffer.from(node)), field(2, Buffer.from(session)), field(3, data)]);
}

test('a page of a foreign site is 403 on every live route, whatever its origin resembles (S01, S03)', async () => {
  const host = new URL(server.url).host;
  for (const path of [...STREAMS, '/emulation']) {
    for (const origin of ['https://evil.example', `http://${host}.evil.example`, `https://${host}`, 'null', '*', 'http://app.example.org', `${LISTED}.evil.example`]) {
      for (const method of ['POST', 'OPTIONS']) {
        const answer = await request(at(path), { method, headers: { ...json, origin }, body: method === 'POST' ? '{}' : undefined });
        assert.equal(answer.status, 403, `${method} ${path} from ${origin}`);
        assert.equal(answer.headers['access-control-allow-origin'], undefined);
        assert.match(answer.headers.vary, /Origin/);
      }
    }
  }
});

test('a page of a listed site may, never with the cookie, and its browser may ask before (S02)', async (t) => {
  for (const path of [...STREAMS, '/emulation']) {
    const asked = { origin: LISTED, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' };
    const preflight = await request(at(path), { method: 'OPTIONS', headers: asked });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers['access-control-allow-origin'], LISTED);
    assert.match(preflight.headers['access-control-allow-methods'], /POST/);
    assert.equal(preflight.headers['access-control-allow-headers'], 'content-type');
    assert.equal(preflight.headers['access-control-allow-credentials'], undefined);
    assert.match(preflight.headers.vary, /Origin/);
  }
  const stream = await Stream.connect(at('/connection/http_stream'), { token: tokenFor('ana') }, { headers: { origin: LISTED } });
  t.after(() => stream.close());
  assert.equal(stream.headers['access-control-allow-origin'], LISTED);
  assert.equal(stream.headers['cross-origin-resource-policy'], 'cross-origin');
  assert.equal(stream.headers['access-control-allow-credentials'], undefined);
  const uplink = await emulate(server.url, { ...stream.connected, data: '{"id":7,"presence_stats":{"channel":"x"}}' }, { origin: LISTED });
  assert.deepEqual([uplink.status, uplink.headers['access-control-allow-origin']], [204, LISTED]);
  // Errors can be read too, so that a page knows what went wrong.
  const refused = await request(at('/connection/sse'), { method: 'POST', headers: { ...json, origin: LISTED }, body: '' });
  assert.deepEqual([refused.status, refused.headers['access-control-allow-origin']], [400, LISTED]);
});

test('an address does nothing but connect, whoever follows it (S45)', async () => {
  const connects = JSON.stringify({ id: 1, connect: { token: tokenFor('ana') } });
  const publishes = JSON.stringify({ id: 2, publish: { channel: 'get', data: 1 } });
  const answer = await request(at(`/connection/sse?cf_connect=${encodeURIComponent(`${connects}\n${publishes}`)}`));
  assert.deepEqual([answer.status, answer.json.code], [400, 'not_only_connect']);
  assert.deepEqual((await api(server, 'history', { channel: 'get', limit: 10 })).json.result.publications, []);
  const posted = await Stream.open(at('/connection/sse'), { body: `${connects}\n${publishes}` });
  for (const id of [1, 2]) assert.equal((await posted.next()).id, id);
  posted.close();
});

/** What a browser says of an event stream of the page's own site. */
const OF_A_SCRIPT = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' };

test('the cookie of our own page makes a person of its streams, and of no other request (S02)', async (t) => {
  const own = await Server.start({ env: SECRETS, args: ['--allowed-origins', LISTED] });
  t.after(() => own.kill());
  const ana = await Person.setUp(own);
  const body = JSON.stringify({ id: 1, connect: {} });
  const cf = `?cf_connect=${encodeURIComponent(body)}`;
  const open = (path, headers, method = 'POST') =>
    Stream.open(own.url + path + (method === 'GET' ? cf : ''), { method, headers: { cookie: ana.cookie, ...headers }, body: method === 'GET' ? undefined : body });
  for (const [path, headers, method] of [
    ['/connection/http_stream', { origin: own.url }],
    ['/connection/sse', { origin: own.url }],
    // Browsers send no Origin with a GET of our own page.
    ['/connection/sse', OF_A_SCRIPT, 'GET'],
  ]) {
    const stream = await open(path, headers, method);
    assert.match((await stream.next()).connect.client, /-/);
    stream.close();
  }
  for (const [path, headers, method] of [
    ['/connection/http_stream', {}],
    ['/connection/http_stream', { origin: LISTED }],
    ['/connection/sse', {}, 'GET'],
    ['/connection/sse', { ...OF_A_SCRIPT, 'sec-fetch-site': 'cross-site' }, 'GET'],
    ['/connection/sse', { ...OF_A_SCRIPT, 'sec-fetch-site': 'same-site' }, 'GET'],
    ['/connection/sse', { ...OF_A_SCRIPT, 'sec-fetch-site': 'none' }, 'GET'],
    ['/connection/sse', { ...OF_A_SCRIPT, origin: LISTED }, 'GET'],
    // A link in a message that somebody follows, and an image.
    ['/connection/sse', { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }, 'GET'],
    ['/connection/sse', { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }, 'GET'],
    ['/connection/sse', { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'image' }, 'GET'],
  ]) {
    const stream = await open(path, headers, method);
    assert.equal((await stream.farewell()).code, 3501, `${path} ${JSON.stringify(headers)}`);
  }
  const live = await open('/connection/http_stream', { origin: own.url });
  await live.next();
  await ana.delete('/v1/session');
  assert.equal((await live.farewell()).code, 3503, 'signing out ends it (S21)');
});

test('who goes leaves its channels at once, and a ping that nobody answers is 3012', async (t) => {
  const hasty = await Server.start({ env: SECRETS, config: 'ping_interval = 1\npong_timeout = 1\n' });
  t.after(() => hasty.kill());
  const stream = await Stream.connect(`${hasty.url}/connection/http_stream`, { token: tokenFor('ana') });
  await stream.subscribe('here');
  await until('it has answered two pings', () => stream.pings >= 2);
  stream.close();
  await until('it has left', async () => (await api(hasty, 'presence_stats', { channel: 'here' })).json.result.num_clients === 0, { timeout: 1_000 });
  for (const path of ['http_stream', 'sse']) {
    const deaf = await Stream.connect(`${hasty.url}/connection/${path}`, { token: tokenFor('ana') }, { pong: false });
    assert.equal((await deaf.farewell()).code, 3012);
    assert.equal(await deaf.ended, 'whole');
  }
});

test('a shutdown is 3001 as the last push of every stream, and is not held up', async () => {
  const going = await Server.start({ env: SECRETS });
  const of = (path, more) => Stream.connect(`${going.url}${path}`, { token: tokenFor('ana') }, more);
  const session = http2.connect(going.url);
  const streams = await Promise.all([of('/connection/http_stream'), of('/connection/sse'), of('/connection/sse', { session }), of('/connection/http_stream', { session })]);
  const uni = await Stream.open(`${going.url}/connection/uni_sse`, { body: JSON.stringify({ token: tokenFor('ana') }) });
  await uni.next();
  const farewells = Promise.all([...streams, uni].map((stream) => stream.farewell()));
  const began = Date.now();
  assert.equal(await going.stop(), 0);
  assert.ok(Date.now() - began < 4_000, `${Date.now() - began} ms`);
  for (const { code, reason } of await farewells) assert.deepEqual([code, reason], [3001, 'shutdown']);
  for (const stream of [...streams, uni]) assert.equal(await stream.ended, 'whole');
});

test('over HTTP/2, plain and behind TLS, many streams share a connection', { skip: noCertificate }, async (t) => {
  const secure = await Server.start({ env: SECRETS, args: TLS });
  t.after(() => secure.kill());
  for (const one of [server, secure]) {
    const session = http2.connect(one.url, { rejectUnauthorized: false });
    t.after(() => session.destroy());
    const streams = await Promise.all(Array.from({ length: 20 }, (_, n) => Stream.connect(`${one.url}/connection/${n % 2 ? 'sse' : 'http_stream'}`, { token: tokenFor(`user-${n}`) }, { session })));
    for (const stream of streams) await stream.subscribe('shared');
    await api(one, 'publish', { channel: 'shared', data: 'to all' });
    for (const stream of streams) await stream.until('the publication', (message) => message.push?.pub?.data === 'to all');
    streams[0].close();
    await until('it alone has left', async () => (await api(one, 'presence_stats', { channel: 'shared' })).json.result.num_clients === 19);
  }
});

test('both WebSockets come over HTTP/2 too (RFC 8441)', async (t) => {
  for (const path of ['/connection/websocket', `/connection/uni_websocket?cf_connect=${encodeURIComponent(JSON.stringify({ token: tokenFor('ana') }))}`]) {
    const session = http2.connect(server.url);
    t.after(() => session.destroy());
    const [settings] = await once(session, 'remoteSettings');
    assert.equal(settings.enableConnectProtocol, true);
    const call = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13', origin: server.url }, { endStream: false });
    const [head] = await once(call, 'response');
    assert.equal(head[':status'], 200);
    if (path.endsWith('/websocket')) {
      const command = Buffer.from(JSON.stringify({ id: 1, connect: { token: tokenFor('ana') } }));
      // A text frame of more than 125 bytes, masked with zeros.
      call.write(Buffer.concat([Buffer.from([0x81, 0xfe, command.length >> 8, command.length & 255, 0, 0, 0, 0]), command]));
    }
    const [frame] = await once(call, 'data');
    assert.equal(frame[0], 0x81);
    assert.match(frame.toString(), /"connect":\{"client":"/);
  }
});

test('a body that comes a byte at a time is given up (S13)', { timeout: 40_000 }, async (t) => {
  const socket = net.connect(server.port, '127.0.0.1');
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  let answer = '';
  socket.on('data', (bytes) => (answer += bytes));
  socket.write('POST /connection/http_stream HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{');
  const drip = setInterval(() => socket.write(' '), 2_000);
  t.after(() => clearInterval(drip));
  const began = Date.now();
  await until('it is answered', () => answer.startsWith('HTTP/1.1 4'), { timeout: 30_000 });
  assert.ok(Date.now() - began < 25_000);
});

test('in one direction the first push is the welcome, and then come pushes that stand alone', async (t) => {
  for (const [path, options] of [
    ['/connection/uni_http_stream', { body: JSON.stringify({ token: tokenFor('ana'), subs: { uni: {}, 'room:01890000-0000-7000-8000-000000000000': {}, 'not ascii ü': {} } }) }],
    ['/connection/uni_sse', { body: JSON.stringify({ token: tokenFor('ana'), subs: { uni: {} } }) }],
    [`/connection/uni_sse?cf_connect=${encodeURIComponent(JSON.stringify({ token: tokenFor('ana'), subs: { uni: {} } }))}`, { method: 'GET' }],
  ]) {
    const stream = await Stream.open(at(path), options);
    t.after(() => stream.close());
    const { connect: welcome } = await stream.next();
    assert.deepEqual(Object.keys(welcome.subs), ['uni'], 'what it may not have is left out');
    assert.deepEqual([welcome.ping, welcome.pong, welcome.node], [25, undefined, undefined]);
    assert.match(welcome.session, /-/);
    await api(server, 'publish', { channel: 'uni', data: { path } });
    const { channel, pub } = await stream.next();
    assert.deepEqual([channel, pub.data], ['uni', { path }]);
  }
});

test('in one direction the errors of connect are codes of the end', async (t) => {
  for (const [connect, code] of [
    [{ token: tokenFor('ana', { ttl: -5 }) }, 3005],
    [{ token: 'forged' }, 3500],
    [{}, 3501],
    ['nonsense', 3501],
    [{ token: tokenFor('') }, 3507],
  ]) {
    const stream = await Stream.open(at('/connection/uni_http_stream'), { body: typeof connect === 'string' ? connect : JSON.stringify(connect) });
    assert.equal((await stream.farewell()).code, code, JSON.stringify(connect));
    assert.equal(await stream.ended, 'whole');
  }
  const silent = await Stream.open(at('/connection/uni_sse'), { method: 'GET' });
  t.after(() => silent.close());
  assert.equal((await silent.farewell()).code, 3501, 'nothing at all is {}');
});

test('in one direction pings are empty pushes that want no answer, and missed publications come with the welcome', async (t) => {
  const hasty = await Server.start({ env: SECRETS, config: 'ping_interval = 1\npong_timeout = 1\n' });
  t.after(() => hasty.kill());
  await api(hasty, 'publish', { channel: 'log', data: 1 });
  const { json: { result: { epoch } } } = await api(hasty, 'history', { channel: 'log', limit: 0 });
  await api(hasty, 'publish', { channel: 'log', data: 2 });
  const subs = { log: { recover: true, offset: 1, epoch } };
  const stream = await Stream.open(`${hasty.url}/connection/uni_sse`, { body: JSON.stringify({ token: tokenFor('ana'), subs }) });
  t.after(() => stream.close());
  const { connect: welcome } = await stream.next();
  assert.deepEqual([welcome.subs.log.recovered, welcome.subs.log.publications.map(({ data }) => data)], [true, [2]]);
  await until('three pings, unanswered', () => stream.pings >= 3);
});

test('a WebSocket in one direction takes its request from the first frame or the address, and closes with word and code', async (t) => {
  const hasty = await Server.start({ env: SECRETS, config: 'ping_interval = 1\npong_timeout = 1\n' });
  t.after(() => hasty.kill());
  const url = `${hasty.url.replace('http', 'ws')}/connection/uni_websocket`;
  const connect = (token, subs) => JSON.stringify({ token, subs });
  const open = async (address, first) => {
    const socket = new WebSocket(address, { perMessageDeflate: false });
    const frames = [];
    socket.on('message', (data) => frames.push(data.toString()));
    const closed = once(socket, 'close');
    await once(socket, 'open');
    if (first) socket.send(first);
    return { socket, frames, closed };
  };
  const good = connect(tokenFor('ana'), { one: {}, two: {} });
  for (const given of [[url, good], [`${url}?cf_connect=${encodeURIComponent(good)}`]]) {
    const { socket, frames, closed } = await open(...given);
    await until('the welcome', () => frames.length > 0);
    assert.deepEqual(Object.keys(JSON.parse(frames[0]).connect.subs), ['one', 'two']);
    for (const channel of ['one', 'two', 'one']) await api(hasty, 'publish', { channel, data: channel });
    await until('each push in a frame of its own', () => frames.filter((frame) => frame !== '{}').length === 4);
    assert.deepEqual(frames.filter((frame) => frame !== '{}').slice(1).map((frame) => JSON.parse(frame).channel), ['one', 'two', 'one']);
    // Pings of both kinds come; whoever answers those of the protocol does no harm.
    socket.send('{}');
    let pinged = 0;
    socket.on('ping', () => (pinged += 1));
    await until('pings of both kinds', () => pinged >= 2 && frames.filter((frame) => frame === '{}').length >= 2);
    assert.equal(socket.readyState, WebSocket.OPEN);
    socket.close();
    await closed;
  }
  for (const [first, code] of [[connect(tokenFor('ana', { ttl: -5 })), 3005], [connect('forged'), 3500], ['nonsense', 3501]]) {
    const { frames, closed } = await open(url, first);
    assert.equal((await closed)[0], code, first);
    assert.equal(JSON.parse(frames.at(-1)).disconnect.code, code);
  }
  for (const path of ['websocket', 'uni_websocket']) {
    const foreign = new WebSocket(url.replace('uni_websocket', path), { origin: 'https://evil.example' });
    const [, answer] = await once(foreign, 'unexpected-response');
    assert.equal(answer.statusCode, 403);
  }
  const deaf = new WebSocket(url, { autoPong: false });
  await once(deaf, 'open');
  deaf.send(good);
  await within(8_000, 'who answers no ping of the WebSocket is gone', once(deaf, 'close'));
});
