// What a delivery costs the server in each form that subscribers may ask for, and a publication by each way to publish.
// usage: node bench/forms.mjs [deliveries] [publications]     (after a release build and `npm ci` in tests/)
// ROUNDS=3 SUBSCRIBERS=300 PUBLICATIONS=1000; TIDINGS_BIN names another binary.
//
// CPU is that of the server's process. Of a delivery: that of publishing to so many, less that of publishing the same to
// nobody. The ways and forms take turns, so that what else the machine does meets all of them.

import { once } from 'node:events';
import { connect as dial } from 'node:http2';
import http from 'node:http';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

process.env.TIDINGS_BIN ??= fileURLToPath(new URL('../target/release/tidings', import.meta.url));
const { WebSocket } = createRequire(new URL('../tests/package.json', import.meta.url))('ws');
const { Server } = await import('../tests/harness/server.mjs');
const { API_KEY, SECRETS, tokenFor } = await import('../tests/harness/tokens.mjs');

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const [ROUNDS, SUBSCRIBERS, PUBLICATIONS] = [number('ROUNDS', 3), number('SUBSCRIBERS', 300), number('PUBLICATIONS', 1_000)];
const wanted = process.argv.slice(2);
const wants = (what) => wanted.length === 0 || wanted.includes(what);
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Nanoseconds on a processor, of all threads that there are. */
function cpu(pid) {
  const of = (thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + of(thread), 0);
}

// Protobuf, as much of it as is needed.
const varint = (value) => {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
};
const field = (tag, content) => {
  if (typeof content === 'number') return Buffer.concat([varint(tag * 8), varint(content)]);
  const bytes = Buffer.from(content);
  return Buffer.concat([varint(tag * 8 + 2), varint(bytes.length), bytes]);
};
const delimited = (message) => Buffer.concat([varint(message.length), message]);

/** How many messages are in a frame, pings left out. */
function messagesIn(frame, binary) {
  let messages = 0;
  if (!binary) {
    if (frame.length <= 2) return 0;
    for (let at = frame.indexOf(10); at >= 0; at = frame.indexOf(10, at + 1)) messages += 1;
    return messages + 1;
  }
  for (let at = 0; at < frame.length; ) {
    let [length, shift] = [0, 1];
    for (; frame[at] > 127; at += 1, shift *= 128) length += (frame[at] & 127) * shift;
    length += frame[at] * shift;
    at += 1 + length;
    messages += length > 0 ? 1 : 0;
  }
  return messages;
}

const FORMS = {
  JSON: {},
  protobuf: { protobuf: true },
  'JSON, differences': { delta: true },
  'protobuf, differences': { protobuf: true, delta: true },
  'JSON, compressed': { compressed: true },
};

/** A subscriber that counts what it gets. */
async function subscriber(server, name, channel, { protobuf, delta, compressed }) {
  const socket = new WebSocket(server.websocketUrl, protobuf ? ['centrifuge-protobuf'] : [], { perMessageDeflate: !!compressed });
  const seen = { socket, count: 0, waiting: null };
  socket.on('message', (frame, binary) => {
    if (frame.length <= 2) return socket.send(protobuf ? Buffer.from([0]) : '{}');
    seen.count += messagesIn(frame, binary);
    seen.waiting?.();
  });
  await once(socket, 'open');
  const token = tokenFor(name);
  if (protobuf) {
    const subscribe = [field(1, channel), ...(delta ? [field(12, 'fossil')] : [])];
    socket.send(Buffer.concat([
      delimited(Buffer.concat([field(1, 1), field(4, field(1, token))])),
      delimited(Buffer.concat([field(1, 2), field(5, Buffer.concat(subscribe))])),
    ]));
  } else {
    const subscribe = { channel, ...(delta ? { delta: 'fossil' } : {}) };
    socket.send(`${JSON.stringify({ id: 1, connect: { token } })}\n${JSON.stringify({ id: 2, subscribe })}`);
  }
  await reaches(seen, 2);
  return seen;
}

function reaches(seen, count) {
  return new Promise((resolve) => {
    const look = () => {
      if (seen.count < count) return;
      seen.waiting = null;
      resolve();
    };
    seen.waiting = look;
    look();
  });
}

/** What a dashboard publishes: most of it stays, a few numbers change. */
const payload = (number) => ({
  number, at: 1_763_000_000_000 + number * 250, symbol: 'TIDE', price: 100 + (number % 97) / 10,
  book: Array.from({ length: 8 }, (_, level) => ({ level, bid: 99.5 - level / 10, ask: 100.5 + level / 10, size: 100 * (level + 1) })),
});

const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
function post(server, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${server.url}/api/publish`, { method: 'POST', agent, headers: { 'x-api-key': API_KEY } }, (response) => {
      response.resume().on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`))));
    });
    request.on('error', reject).end(body);
  });
}

const start = (compressed) => Server.start({
  env: SECRETS,
  args: compressed ? ['--websocket-compression', 'true'] : [],
  config: '[channels]\ndelta = "always"\n',
  database: 'sqlite',
});

async function nanosecondsADelivery(form) {
  const server = await start(form.compressed);
  const publish = async (channel) => {
    const before = cpu(server.pid);
    for (let n = 0; n < PUBLICATIONS; n += 1) await post(server, JSON.stringify({ channel, data: payload(n) }));
    return before;
  };
  await publish('warm');
  const nobody = -(await publish('nobody')) + cpu(server.pid);
  const all = [];
  for (let n = 0; n < SUBSCRIBERS; n += 1) all.push(await subscriber(server, `s${n}`, 'news', form));
  // Those who came have heard of those who came later, or not: what counts is what is published from here on.
  const counts = all.map((one) => one.count);
  const before = await publish('news');
  await Promise.all(all.map((one, index) => reaches(one, counts[index] + PUBLICATIONS)));
  const used = cpu(server.pid) - before - nobody;
  const bytes = all[0].socket._socket.bytesRead / PUBLICATIONS;
  all.forEach((one) => one.socket.terminate());
  await server.stop();
  return { ns: used / (PUBLICATIONS * SUBSCRIBERS), bytes };
}

const WAYS = {
  'POST /api/publish': async (server) => {
    const body = (n) => JSON.stringify({ channel: 'news', data: payload(n) });
    return { one: (n) => post(server, body(n)), close: () => {} };
  },
  gRPC: async (server) => {
    const session = dial(server.url);
    const one = (n) => new Promise((resolve, reject) => {
      const call = session.request({
        ':method': 'POST', ':path': '/tidings.api.ServerApi/Publish', 'content-type': 'application/grpc', te: 'trailers', 'x-api-key': API_KEY,
      });
      const message = Buffer.concat([field(1, 'news'), field(2, JSON.stringify(payload(n)))]);
      const head = Buffer.alloc(5);
      head.writeUInt32BE(message.length, 1);
      let status;
      call.on('response', (headers) => (status = headers['grpc-status'] ?? status));
      call.on('trailers', (trailers) => (status = trailers['grpc-status']));
      call.on('error', reject).on('end', () => (status === '0' ? resolve() : reject(new Error(`grpc-status ${status}`))));
      call.resume();
      call.end(Buffer.concat([head, message]));
    });
    return { one, close: () => session.close() };
  },
  'publish over WebSocket': async (server) => {
    // One client may say 200 commands a second in the long run, and one user 500.
    const clients = [];
    for (let n = 0; n < 64; n += 1) {
      const socket = new WebSocket(server.websocketUrl, { perMessageDeflate: false });
      const waiting = [];
      socket.on('message', (frame) => {
        if (frame.length <= 2) return socket.send('{}');
        for (const line of frame.toString().split('\n')) {
          if (line.includes('"error"')) throw new Error(line);
          waiting.shift()?.();
        }
      });
      await once(socket, 'open');
      const ask = (command) => new Promise((resolve) => {
        waiting.push(resolve);
        socket.send(JSON.stringify(command));
      });
      await ask({ id: 1, connect: { token: tokenFor(`p${n}`) } });
      clients.push({ socket, ask });
    }
    return {
      one: (n) => clients[n % clients.length].ask({ id: n + 2, publish: { channel: 'news', data: payload(n) } }),
      close: () => clients.forEach(({ socket }) => socket.terminate()),
    };
  },
};

async function publications(way) {
  const server = await start(false);
  const { one, close } = await WAYS[way](server);
  const total = PUBLICATIONS * 10;
  let next = 0;
  const work = async (until) => {
    while (next < until) await one(next++);
  };
  const all = (until) => Promise.all(Array.from({ length: 16 }, () => work(until)));
  await all(PUBLICATIONS);
  const [before, began] = [cpu(server.pid), performance.now()];
  await all(PUBLICATIONS + total);
  const seconds = (performance.now() - began) / 1000;
  const used = cpu(server.pid) - before;
  close();
  await server.stop();
  return { us: used / total / 1000, rate: total / seconds };
}

if (wants('deliveries')) {
  const found = Object.fromEntries(Object.keys(FORMS).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, form] of Object.entries(FORMS)) found[name].push(await nanosecondsADelivery(form));
  }
  const json = median(found.JSON.map(({ ns }) => ns));
  console.log(`a publication of ${JSON.stringify(payload(1)).length} bytes to ${SUBSCRIBERS} subscribers, one under way`);
  for (const [name, rounds] of Object.entries(found)) {
    const ns = median(rounds.map((round) => round.ns));
    console.log(`${name}: ${(ns / 1000).toFixed(2)} us of CPU a delivery (${(ns / json).toFixed(2)} of JSON), ${median(rounds.map((round) => round.bytes)).toFixed(0)} bytes`);
  }
}
if (wants('publications')) {
  const found = Object.fromEntries(Object.keys(WAYS).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round += 1) for (const way of Object.keys(WAYS)) found[way].push(await publications(way));
  for (const [way, rounds] of Object.entries(found)) {
    const of = (name) => median(rounds.map((round) => round[name]));
    console.log(`${way}: ${of('us').toFixed(1)} us of CPU a publication, ${of('rate').toFixed(0)}/s with 16 in flight (the generator's limit, one thread of Node)`);
  }
}
process.exit(0);
