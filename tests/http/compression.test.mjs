// permessage-deflate where the configuration turns it on: what is compressed, for whom, and what it may cost (S10, S11).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import WebSocket from 'ws';

import { api } from '../harness/http.mjs';
import { client, subscribed } from '../harness/sdk.mjs';
import { Server } from '../harness/server.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';
import { until, within } from '../harness/wait.mjs';

const OFFER = 'permessage-deflate; client_max_window_bits';
const TEXT = 'The tide comes in and the tide goes out. '.repeat(100);

let server;
before(async () => (server = await Server.start({ env: SECRETS, args: ['--websocket-compression', 'true'] })));
after(() => server.kill());

/** A socket whose frames are seen as they are. */
class Raw {
  frames = [];
  #bytes = Buffer.alloc(0);

  static async open(offer, path = '/connection/websocket') {
    const raw = new Raw();
    const call = http.request(`${server.url}${path}`, {
      headers: { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', ...(offer ? { 'sec-websocket-extensions': offer } : {}) },
    });
    call.end();
    const [answer, socket, head] = await within(5_000, 'the upgrade', once(call, 'upgrade'));
    Object.assign(raw, { extensions: answer.headers['sec-websocket-extensions'], socket });
    raw.#take(head);
    socket.on('data', (bytes) => raw.#take(bytes));
    socket.on('error', () => {});
    return raw;
  }

  #take(bytes) {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      const buffer = this.#bytes;
      if (buffer.length < 2) return;
      const short = buffer[1] & 0x7f;
      const at = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (buffer.length < at) return;
      const length = short === 126 ? buffer.readUInt16BE(2) : short === 127 ? Number(buffer.readBigUInt64BE(2)) : short;
      if (buffer.length < at + length) return;
      this.frames.push({ opcode: buffer[0] & 15, compressed: (buffer[0] & 0x40) > 0, payload: buffer.subarray(at, at + length) });
      this.#bytes = buffer.subarray(at + length);
    }
  }

  /** A frame as clients send it; masked with zeros, so as it is. */
  send(payload, { compressed = false } = {}) {
    const body = Buffer.from(payload);
    const head = Buffer.alloc(body.length < 126 ? 6 : 8);
    head[0] = 0x81 | (compressed ? 0x40 : 0);
    head[1] = 0x80 | (body.length < 126 ? body.length : 126);
    if (body.length >= 126) head.writeUInt16BE(body.length, 2);
    this.socket.write(Buffer.concat([head, body]));
  }

  async frame(what, fits) {
    return until(what, () => this.frames.find(fits), { timeout: 5_000 });
  }
}

const inflated = (payload) => inflateRawSync(Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]), { finishFlush: 2 }).toString();
const deflated = (text) => deflateRawSync(text, { finishFlush: 2 }).subarray(0, -4);

test('what is published is compressed for who agreed to it, and no answer is, whatever it holds (S11)', async (t) => {
  const raw = await Raw.open(OFFER);
  t.after(() => raw.socket.destroy());
  assert.equal(raw.extensions, 'permessage-deflate; server_no_context_takeover; client_no_context_takeover');
  raw.send(JSON.stringify({ id: 1, connect: { token: tokenFor('ana') } }));
  raw.send(JSON.stringify({ id: 2, subscribe: { channel: 'zip' } }));
  await raw.frame('subscribed', ({ payload }) => payload.includes('"id":2'));
  await api(server, 'publish', { channel: 'zip', data: TEXT });
  const publication = await raw.frame('the publication', ({ compressed }) => compressed);
  assert.ok(publication.payload.length < TEXT.length / 20, `${publication.payload.length} bytes`);
  assert.equal(JSON.parse(inflated(publication.payload)).push.pub.data, TEXT);
  // A short one gains nothing; history, which holds what others wrote beside whatever else is in its frame, is an answer.
  await api(server, 'publish', { channel: 'zip', data: 'short' });
  await raw.frame('the short one', ({ payload, compressed }) => !compressed && payload.includes('short'));
  raw.send(JSON.stringify({ id: 3, history: { channel: 'zip', limit: 10 } }));
  const answer = await raw.frame('the history', ({ payload }) => payload.includes('"id":3'));
  assert.ok(!answer.compressed && answer.payload.length > TEXT.length);
});

test('a client may compress what it sends, and one of another window gets everything plain', async (t) => {
  const compressing = await Raw.open(OFFER);
  t.after(() => compressing.socket.destroy());
  compressing.send(deflated(JSON.stringify({ id: 1, connect: { token: tokenFor('ana') } })), { compressed: true });
  await compressing.frame('it is heard', ({ payload }) => payload.includes('"connect"'));

  const small = await Raw.open('permessage-deflate; server_max_window_bits=9');
  t.after(() => small.socket.destroy());
  assert.match(small.extensions, /server_max_window_bits=9/);
  small.send(JSON.stringify({ id: 1, connect: { token: tokenFor('ana') } }));
  small.send(JSON.stringify({ id: 2, subscribe: { channel: 'plain' } }));
  await small.frame('subscribed', ({ payload }) => payload.includes('"id":2'));
  await api(server, 'publish', { channel: 'plain', data: TEXT });
  const publication = await small.frame('the publication', ({ payload }) => payload.includes('"pub"'));
  assert.equal(publication.compressed, false);

  const without = await Raw.open();
  t.after(() => without.socket.destroy());
  assert.equal(without.extensions, undefined);
});

test('a bomb stops at the inflated limit, before anybody has said who they are (S10)', async (t) => {
  const bomb = deflated(Buffer.alloc(16 << 20));
  assert.ok(bomb.length < 20_000);
  const before = server.peak;
  for (let n = 0; n < 50; n += 1) {
    const raw = await Raw.open(OFFER);
    t.after(() => raw.socket.destroy());
    raw.send(bomb, { compressed: true });
    const { payload } = await raw.frame('the close', ({ opcode }) => opcode === 8);
    assert.equal(payload.readUInt16BE(0), 1009);
  }
  assert.ok(server.peak - before < 16, `${server.peak - before} MiB`);
});

test('the stock SDK with compression sees what it sees without, in both directions', async (t) => {
  class Compressing extends WebSocket {
    constructor(address, protocols) {
      super(address, protocols, { perMessageDeflate: { threshold: 0 } });
    }
  }
  const ana = client(t, server.websocketUrl, { websocket: Compressing, token: tokenFor('ana') });
  const zip = await subscribed(ana, 'sdk');
  for (let n = 0; n < 20; n += 1) await zip.publish({ n, TEXT });
  const received = await zip.publications.take(20);
  assert.deepEqual(received.map(({ data }) => data), Array.from({ length: 20 }, (_, n) => ({ n, TEXT })));
  assert.equal((await zip.history({ limit: 3 })).publications.length, 3);
});

test('a connection that waits costs as much with compression as without', async (t) => {
  const sockets = [];
  t.after(() => sockets.forEach(({ socket }) => socket.destroy()));
  // Together, so that all of it is over before the first ping wants an answer.
  const open = (offer, count) =>
    Promise.all(Array.from({ length: count }, async (_, n) => {
      const raw = await Raw.open(offer);
      sockets.push(raw);
      raw.send(JSON.stringify({ id: 1, connect: { token: tokenFor(`idle-${offer}-${n}`) } }));
      raw.send(JSON.stringify({ id: 2, subscribe: { channel: 'idle' } }));
      await raw.frame('subscribed', ({ payload }) => payload.includes('"id":2'));
    }));
  const each = async (offer) => {
    const before = server.resident;
    await open(offer, 400);
    sockets.forEach((raw) => (raw.frames.length = 0));
    await api(server, 'publish', { channel: 'idle', data: TEXT });
    await until('all have it', () => sockets.every(({ frames }) => frames.length > 0));
    return ((server.resident - before) * 1024) / 400;
  };
  await open(OFFER, 50);
  const [plain, compressed] = [await each(undefined), await each(OFFER)];
  t.diagnostic(`${plain.toFixed(1)} KiB a connection without, ${compressed.toFixed(1)} with`);
  assert.ok(compressed < 30, `${compressed} KiB`);
});
