// Protobuf over WebSocket by hand-made frames: how it is agreed on, and what a broken or hostile client gets. What an
// application's developer relies on is in sdk.test.mjs, which runs in protobuf too.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';

import { Centrifuge } from 'centrifuge/build/protobuf';
import WebSocket from 'ws';

import { Frames } from '../../harness/frames.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';
import { within } from '../../harness/wait.mjs';

const codec = new Centrifuge('ws://nobody.invalid/')._codec;
const SOON = 10_000;

let server;
before(async () => (server = await Server.start({ env: SECRETS, config: '[channels]\npublication_format = "any"\n' })));
after(() => server.kill());

/** A socket whose frames are in protobuf: `reply` is the next one that is no ping, or `{closed: code}`. */
async function open({ protocols = ['centrifuge-protobuf'], query = '', of = server, pong = true } = {}) {
  const socket = new WebSocket(`${of.websocketUrl}${query}`, protocols, { perMessageDeflate: false });
  const [replies, waiting] = [[], []];
  const give = (reply) => (waiting.length > 0 ? waiting.shift()(reply) : replies.push(reply));
  const made = { socket, pings: 0, frames: [] };
  socket.on('message', (data, isBinary) => {
    made.frames.push({ data, isBinary });
    if (!isBinary) return;
    for (const reply of codec.decodeReplies(data)) {
      if (Object.keys(reply).length > 0) give(reply);
      else {
        made.pings += 1;
        if (pong) socket.send(Buffer.from([0]));
      }
    }
  });
  socket.on('close', (code) => give({ closed: code }));
  made.next = () => (replies.length > 0 ? replies.shift() : within(SOON, 'the next reply', new Promise((resolve) => waiting.push(resolve))));
  made.ask = (...commands) => {
    socket.send(codec.encodeCommands(commands));
    return made.next();
  };
  await within(SOON, 'the socket opens', once(socket, 'open'));
  return made;
}

async function connected(user = 'ana', options) {
  const made = await open(options);
  const reply = await made.ask({ id: 1, connect: { token: tokenFor(user) } });
  assert.ok(reply.connect?.client, JSON.stringify(reply));
  return made;
}

const text = (data) => Buffer.from(data).toString();

test('protobuf is agreed on by the subprotocol, or by a parameter of the address; whoever offers JSON too gets JSON', async () => {
  for (const [options, chosen] of [
    [{}, 'centrifuge-protobuf'],
    [{ protocols: ['something', 'centrifuge-protobuf'] }, 'centrifuge-protobuf'],
    [{ protocols: [], query: '?cf_protocol=protobuf' }, ''],
    [{ protocols: [], query: '?x=1&format=protobuf&cf_protocol_version=v2' }, ''],
    [{ query: '?cf_protocol=protobuf' }, 'centrifuge-protobuf'],
  ]) {
    const ana = await connected('ana', options);
    assert.equal(ana.socket.protocol, chosen, JSON.stringify(options));
    assert.ok(ana.frames.every(({ isBinary }) => isBinary));
    ana.socket.close();
  }
  for (const [protocols, chosen, query] of [
    [[], '', ''],
    [['centrifuge-protobuf', 'centrifuge-json'], 'centrifuge-json', ''],
    [[], '', '?format=json&cf_protocol=json'],
  ]) {
    const ana = await Frames.connect(`${server.websocketUrl}${query}`, { token: tokenFor('ana') }, { protocols });
    assert.equal(ana.socket.protocol, chosen);
    ana.close();
  }
});

test('the first frames of a session are what others have seen (golden)', async () => {
  const ana = await open();
  ana.socket.send(Buffer.from('0408012200', 'hex'));
  assert.deepEqual(await ana.next(), { closed: 3501 }, 'a connect without a token');
  const ben = await connected('ben');
  const [{ data }] = ben.frames;
  assert.match(data.toString('hex'), /^[0-9a-f]{2,4}08012a[0-9a-f]{2,4}0a24(3[0-9]|6[1-6]|2d){36}12/);
  ben.socket.close();
});

test('connect, subscribe and publish in one frame are answered in order, and data arrives byte for byte', async () => {
  const ana = await open();
  const data = Buffer.from([0, 0xff, 0x0a, 0x80]);
  const commands = [{ id: 1, connect: { token: tokenFor('ana') } }, { id: 2, subscribe: { channel: 'raw' } }, { id: 3, publish: { channel: 'raw', data } }];
  assert.ok((await ana.ask(...commands)).connect);
  assert.ok((await ana.next()).subscribe);
  const { push } = await ana.next();
  assert.deepEqual([push.channel, Buffer.from(push.pub.data), push.pub.info.user], ['raw', data, 'ana']);
  const reply = await ana.next();
  assert.ok(reply.id === 3 && reply.publish, JSON.stringify(reply));
  ana.socket.close();
});

test('what one publishes in one form others get in theirs; data that is no JSON ends those who speak JSON with 3506, and nobody else notices', async () => {
  const channel = 'both';
  const ana = await connected();
  await ana.ask({ id: 2, subscribe: { channel } });
  const [ben, cho] = [await Frames.connect(server.websocketUrl, { token: tokenFor('ben') }), await Frames.connect(server.websocketUrl, { token: tokenFor('cho') })];
  await ben.subscribe(channel);
  await cho.subscribe('elsewhere');

  ben.send({ id: 9, publish: { channel, data: { from: 'ben' } } });
  assert.equal(text((await ana.next()).push.pub.data), '{"from":"ben"}');
  await ben.next();
  await ben.next();
  ana.socket.send(codec.encodeCommands([{ id: 3, publish: { channel, data: Buffer.from('{"from":\n"ana"}') } }]));
  assert.deepEqual((await ben.next()).push.pub.data, { from: 'ana' });
  await ana.next();
  await ana.next();

  const data = Buffer.from('no JSON');
  ana.socket.send(codec.encodeCommands([{ id: 4, publish: { channel, data } }]));
  assert.equal((await ben.closed()).code, 3506);
  assert.deepEqual(Buffer.from((await ana.next()).push.pub.data), data);
  assert.ok((await ana.next()).publish);
  assert.deepEqual(await cho.ask({ publish: { channel: 'elsewhere', data: 1 } }).then((reply) => reply.publish), {});
  ana.socket.close();
  cho.close();
});

test('a ping is one byte and so is its pong; an unsolicited pong is 3501, and none at all 3012 (4.40, S16)', async (t) => {
  const hasty = await Server.start({ env: SECRETS, config: 'ping_interval = 1\npong_timeout = 1\n' });
  t.after(() => hasty.kill());
  const deaf = await connected('ana', { of: hasty, pong: false });
  assert.deepEqual(await deaf.next(), { closed: 3012 });
  assert.deepEqual([deaf.pings, deaf.frames.at(-1).data.toString('hex')], [1, '00']);
  const eager = await connected();
  assert.deepEqual(await eager.ask({}), { closed: 3501 });
});

test('a frame that is empty, malformed, cut or declares what is not there is 3501 (bad input)', async () => {
  for (const frame of ['', '05', '80', 'ffffffffffffffffff01', 'ffffffff0f0801', '020880', '0322ff7f', '0408012000', '060801220212ff', '020e00', '029b06', '0708012a030a01ff']) {
    const ana = await open();
    ana.socket.send(Buffer.from(frame, 'hex'));
    assert.deepEqual(await ana.next(), { closed: 3501 }, frame);
  }
  const deep = await open();
  deep.socket.send(Buffer.concat([Buffer.from('e0d403', 'hex'), Buffer.alloc(60_000, '9b06', 'hex')]));
  assert.deepEqual(await deep.next(), { closed: 3501 }, 'groups within groups');
  (await connected()).socket.close();
});

test('what a frame holds is read whatever kind it says it is', async () => {
  const ana = await open();
  ana.socket.send(Buffer.from(codec.encodeCommands([{ id: 1, connect: { token: tokenFor('ana') } }])), { binary: false });
  assert.ok((await ana.next()).connect);
  ana.socket.close();
  const ben = await Frames.open(server.websocketUrl);
  ben.socket.send(Buffer.from(JSON.stringify({ id: 1, connect: { token: tokenFor('ben') } })), { binary: true });
  assert.ok((await ben.next()).connect);
  ben.close();
});
