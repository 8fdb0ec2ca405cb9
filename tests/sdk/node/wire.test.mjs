// The command rules of the client protocol, by hand-written frames: what a broken or hostile client gets.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import WebSocket from 'ws';

import { Frames } from '../../harness/frames.mjs';
import { request } from '../../harness/http.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, jwt, tokenFor } from '../../harness/tokens.mjs';
import { until } from '../../harness/wait.mjs';

let server;
before(async () => (server = await Server.start({ env: SECRETS })));
after(() => server.kill());

const open = (options) => Frames.open(server.websocketUrl, options);
const connect = (user = 'ana') => Frames.connect(server.websocketUrl, { token: tokenFor(user) });
const subscribe = (id, channel, more) => ({ id, subscribe: { channel, ...more } });

async function closesWith(code, ...commands) {
  const frames = await open();
  frames.send(...commands);
  const end = await frames.closed();
  assert.equal(end.code, code, `${JSON.stringify(commands)}: ${end.code} ${end.reason}`);
  // The SDKs try to parse the reason as JSON; one that parses would be misread.
  if (end.reason !== '') assert.throws(() => JSON.parse(end.reason), SyntaxError, end.reason);
}

async function connectedClosesWith(code, ...commands) {
  await closesWith(code, { id: 1, connect: { token: tokenFor('ana') } }, ...commands);
}

test('the first command must be connect: anything else is 3501', async () => {
  await closesWith(3501, subscribe(1, 'news'));
  await closesWith(3501, { id: 1, rpc: { method: 'x' } });
});

test('a second connect is 3501', () => connectedClosesWith(3501, { id: 2, connect: { token: tokenFor('ana') } }));

test('a command without an id is 3501', () => connectedClosesWith(3501, { subscribe: { channel: 'news' } }));

test('a command with an id and no method that we know is 3501', () => connectedClosesWith(3501, { id: 2, dance: {} }));

test('the ping command, which no server implements, is 3501', () => connectedClosesWith(3501, { id: 2, ping: {} }));

test('an unsolicited pong is 3501', () => connectedClosesWith(3501, '{}'));

test('`send`, which nobody handles, is 3508', () => connectedClosesWith(3508, { send: { data: {} } }));

test('an empty channel is 3501, and a channel too long or not ASCII is error 107', async () => {
  for (const method of ['subscribe', 'unsubscribe', 'publish', 'presence', 'presence_stats', 'history']) {
    await connectedClosesWith(3501, { id: 2, [method]: { channel: '', data: 1 } });
  }
  const ana = await connect();
  assert.equal((await ana.subscribe('x'.repeat(255))).error, undefined);
  for (const channel of ['x'.repeat(256), 'ä', 'a b\u0000']) assert.equal((await ana.subscribe(channel)).error.code, 107, channel);
  ana.close();
});

test('malformed JSON, an empty frame and a frame that is no object are 3501 (bad input)', async () => {
  for (const frame of ['{"id":1,', '', ' ', '[]', '7', '"connect"', '{"id":1,"connect":7}', '{"id":"one","connect":{}}', '{"id":-1,"connect":{}}']) {
    await closesWith(3501, frame);
  }
});

test('deeply nested JSON closes this connection and nothing else', async () => {
  const frames = await open();
  frames.send('['.repeat(50_000));
  assert.equal((await frames.closed()).code, 3501);
  (await connect()).close();
});

test('a message over the limit is close 1009 (S07), and invalid UTF-8 is 1007 (S12)', async () => {
  const big = await connect();
  big.send({ id: 2, publish: { channel: 'news', data: 'x'.repeat(70_000) } });
  assert.equal((await big.closed()).code, 1009);
  const bad = await connect();
  bad.socket.send(Buffer.from([0x7b, 0xc3, 0x28, 0x7d]), { binary: false });
  assert.equal((await bad.closed()).code, 1007);
});

test('connect and subscribe in one frame are answered in order (the SDK\'s optimistic subscription)', async () => {
  const frames = await open();
  frames.send({ id: 1, connect: { token: tokenFor('ana') } }, subscribe(2, 'batched'), { id: 3, publish: { channel: 'batched', data: 1 } });
  const lines = [await frames.next(), await frames.next(), await frames.next(), await frames.next()];
  assert.ok(lines[0].connect && lines[0].id === 1, JSON.stringify(lines));
  assert.ok(lines[1].subscribe && lines[1].id === 2, JSON.stringify(lines));
  // The publisher's own push comes before the reply to its publish.
  assert.equal(lines[2].push?.pub?.data, 1, JSON.stringify(lines));
  assert.deepEqual(lines[3], { id: 3, publish: {} });
  frames.close();
});

test('the connect reply has the words that SDKs need, and nothing that is zero', async () => {
  const frames = await connect();
  const { connected } = frames;
  assert.match(connected.client, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.ok(connected.version.length > 0);
  assert.equal(connected.ping, 25);
  assert.equal(connected.pong, true);
  for (const [name, value] of Object.entries(connected)) assert.ok(value !== 0 && value !== '' && value !== false && value !== null, name);
  frames.close();
});

test('after an error reply to connect the connection is of no use: the next command is 3501', async () => {
  const frames = await open();
  const reply = await frames.ask({ connect: { token: tokenFor('ana', { ttl: -5 }) } });
  assert.equal(reply.error.code, 109);
  frames.send(subscribe(2, 'news'));
  assert.equal((await frames.closed()).code, 3501);
});

test('a token that is forged, without an expiry or of another algorithm is 3500 (S30)', async () => {
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const wrong = [
    jwt({ sub: 'ana', exp }, { secret: 'another-secret-of-someone' }),
    jwt({ sub: 'ana', exp }, { header: { alg: 'none' } }),
    jwt({ sub: 'ana', exp }, { header: { alg: 'HS512', typ: 'JWT' } }),
    jwt({ sub: 'ana', exp }, { header: { alg: 'RS256', typ: 'JWT' } }),
    jwt({ sub: 'ana' }),
    jwt({ sub: 'ana', exp: `${exp}` }),
    'a.b.c',
    '.',
  ];
  for (const token of wrong) await closesWith(3500, { id: 1, connect: { token } });
});

test('no token is 3501', () => closesWith(3501, { id: 1, connect: {} }));

test('a second subscribe is error 105, and unsubscribing from what is not subscribed succeeds', async () => {
  const ana = await connect();
  assert.ok((await ana.subscribe('twice')).subscribe);
  assert.equal((await ana.subscribe('twice')).error.code, 105);
  assert.ok((await ana.ask({ unsubscribe: { channel: 'twice' } })).unsubscribe);
  assert.ok((await ana.ask({ unsubscribe: { channel: 'never' } })).unsubscribe);
  assert.ok((await ana.subscribe('twice')).subscribe);
  ana.close();
});

test('unknown fields and nulls are ignored', async () => {
  const frames = await open();
  frames.send({ id: 1, connect: { token: tokenFor('ana'), colour: 'blue', data: null }, subscribe: null, extra: [1] });
  assert.ok((await frames.next()).connect);
  frames.close();
});

test('relayed payloads carry no raw line break, and mean the same', async () => {
  const ana = await connect();
  await ana.subscribe('payload');
  // A legal JSON value with line breaks between its tokens cannot be split from the next command by us: it comes over HTTP.
  await request(`${server.url}/api/publish`, {
    method: 'POST',
    headers: { 'x-api-key': SECRETS.TIDINGS_API_KEY },
    body: '{"channel":"payload","data":{\n"a" :\r\n 1,\n"b":"x\\ny"\n}}',
  });
  const { push } = await ana.next();
  assert.deepEqual(push.pub.data, { a: 1, b: 'x\ny' });
  ana.close();
});

test('the first publication carries the epoch that the subscribe reply named', async () => {
  const ana = await connect();
  const { subscribe: answer } = await ana.subscribe('fresh-stream', { recoverable: true });
  assert.equal(answer.recoverable, true);
  assert.equal(answer.positioned, true);
  ana.send({ id: 90, publish: { channel: 'fresh-stream', data: 1 } });
  const { push } = await ana.next();
  assert.equal(push.pub.offset, 1);
  assert.equal(push.pub.epoch, answer.epoch);
  ana.close();
});

test('recovery answers with the missed publications and the offset that was asked for', async () => {
  const ana = await connect();
  await ana.subscribe('recover', { recoverable: true });
  for (let n = 1; n <= 4; n += 1) await ana.ask({ publish: { channel: 'recover', data: n } });
  const { history } = await ana.ask({ history: { channel: 'recover' } });
  assert.deepEqual(history, { publications: [], epoch: history.epoch, offset: 4 });
  const ben = await connect('ben');
  const { subscribe: answer } = await ben.subscribe('recover', { recover: true, offset: 2, epoch: history.epoch });
  assert.equal(answer.was_recovering, true);
  assert.equal(answer.recovered, true);
  assert.equal(answer.offset, 2);
  assert.deepEqual(answer.publications.map((publication) => publication.data), [3, 4]);
  const cho = await connect('cho');
  const { subscribe: refused } = await cho.subscribe('recover', { recover: true, offset: 0, epoch: '_' });
  assert.equal(refused.was_recovering, true);
  assert.equal(refused.recovered, undefined);
  assert.equal(refused.offset, 4);
  for (const one of [ana, ben, cho]) one.close();
});

test('an empty Sec-WebSocket-Protocol header counts as none, and centrifuge-json is chosen where offered', async () => {
  const empty = await open({ headers: { 'sec-websocket-protocol': '' } });
  assert.equal(empty.socket.protocol, '');
  empty.close();
  const named = await open({ protocols: ['something', 'centrifuge-json'] });
  assert.equal(named.socket.protocol, 'centrifuge-json');
  named.close();
});

test('compression is not negotiated unless asked for in the configuration (S10)', async () => {
  const socket = new WebSocket(server.websocketUrl, { perMessageDeflate: true });
  await new Promise((resolve) => socket.once('open', resolve));
  assert.equal(socket.extensions, '');
  socket.close();
});

test('whoever does not connect, or connects in vain, is closed with 3502 after a while (S13)', { timeout: 40_000 }, async () => {
  const silent = await open();
  const inVain = await open();
  assert.equal((await inVain.ask({ connect: { token: tokenFor('ana', { ttl: -5 }) } })).error.code, 109);
  for (const frames of [silent, inVain]) await until('it is closed', () => frames.code !== undefined, { timeout: 20_000 });
  assert.deepEqual([silent.code, inVain.code], [3502, 3502]);
});

test('whoever does not answer a ping is closed with 3012 (4.40, S16)', async (t) => {
  const hasty = await Server.start({ env: SECRETS, config: 'ping_interval = 1\npong_timeout = 1\n' });
  t.after(() => hasty.kill());
  const deaf = await Frames.connect(hasty.websocketUrl, { token: tokenFor('ana') }, { pong: false });
  assert.equal(deaf.connected.ping, 1);
  const began = Date.now();
  assert.equal((await deaf.closed()).code, 3012);
  assert.ok(Date.now() - began < 4_000, `${Date.now() - began} ms`);
});

test('the 129th subscription of a connection is error 106, and the others stay', async () => {
  const ana = await connect();
  for (let n = 0; n < 128; n += 1) assert.ok((await ana.subscribe(`many-${n}`)).subscribe, `${n}`);
  assert.equal((await ana.subscribe('many-128')).error.code, 106);
  ana.send({ id: 999, publish: { channel: 'many-127', data: 1 } });
  assert.equal((await ana.next()).push.channel, 'many-127');
  ana.close();
});

test('a flood of commands is error 111, and one that goes on is closed with 3013 (S63)', async () => {
  const ana = await connect();
  const flood = Array.from({ length: 3_000 }, (_, n) => ({ id: n + 10, presence_stats: { channel: 'x' } }));
  for (let n = 0; n < flood.length; n += 300) ana.send(...flood.slice(n, n + 300));
  assert.equal((await ana.closed()).code, 3013);
  assert.ok(ana.take().some((line) => line.error?.code === 111));
  (await connect()).close();
});

test('a subscription token opens its channel to its user alone: expired 109, another channel or user 3500, forged or without a channel 103', async () => {
  const ana = await connect();
  const good = await ana.subscribe('tokened', { token: tokenFor('ana', { channel: 'tokened' }) });
  assert.equal(good.subscribe.expires, true);
  assert.ok(good.subscribe.ttl > 3_000);
  assert.equal((await ana.subscribe('expired', { token: tokenFor('ana', { channel: 'expired', ttl: -5 }) })).error.code, 109);
  assert.equal((await ana.subscribe('forged', { token: 'a.b.c' })).error.code, 103);
  assert.equal((await ana.subscribe('forged', { token: tokenFor('ana') })).error.code, 103);
  const refreshed = await ana.ask({ sub_refresh: { channel: 'tokened', token: tokenFor('ana', { channel: 'tokened' }) } });
  assert.equal(refreshed.sub_refresh.expires, true);
  for (const token of [tokenFor('ana', { channel: 'another' }), tokenFor('ben', { channel: 'mismatch' })]) {
    const other = await connect();
    other.send(subscribe(2, 'mismatch', { token }));
    assert.equal((await other.closed()).code, 3500);
  }
  ana.close();
});

test('a connection token is refreshed in place, for the same user only', async () => {
  const ana = await connect();
  assert.equal(ana.connected.expires, true);
  const { refresh } = await ana.ask({ refresh: { token: tokenFor('ana', { ttl: 7_200 }) } });
  assert.ok(refresh.ttl > 7_000 && refresh.client === ana.connected.client, JSON.stringify(refresh));
  ana.send({ id: 77, refresh: { token: tokenFor('ben') } });
  assert.equal((await ana.closed()).code, 3500);
});
