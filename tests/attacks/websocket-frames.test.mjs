// WebSocket frames that no client sends, by hand: each must end its own connection, with the right code where there is
// somebody to hear it, and cost the others nothing.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { Server } from '../harness/server.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';
import { within } from '../harness/wait.mjs';

const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];
/** MiB that the server may take on top of what it had after all of it together. */
const GROWTH_MIB_MAX = 64;

/** A frame of RFC 6455 §5.2, right unless told otherwise; `claimed` is a length that the payload does not have. */
function frame(opcode, payload = '', { fin = true, mask = true, reserved = 0, claimed, longForm = false } = {}) {
  const bytes = Buffer.from(payload);
  const length = claimed ?? BigInt(bytes.length);
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  const bit = mask ? 0x80 : 0;
  let head;
  if (length < 126n && !longForm) head = Buffer.from([first, bit | Number(length)]);
  else if (length < 65_536n && !longForm) head = Buffer.from([first, bit | 126, Number(length >> 8n), Number(length & 255n)]);
  else {
    head = Buffer.alloc(10);
    head[0] = first;
    head[1] = bit | 127;
    head.writeBigUInt64BE(BigInt.asUintN(64, length), 2);
  }
  if (!mask) return Buffer.concat([head, bytes]);
  const key = randomBytes(4);
  return Buffer.concat([head, key, bytes.map((byte, index) => byte ^ key[index % 4])]);
}

const connect = () => frame(TEXT, JSON.stringify({ id: 1, connect: { token: tokenFor('eve') } }));
const closing = (code, reason = '') => {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return frame(CLOSE, Buffer.concat([payload, Buffer.from(reason)]));
};

/** One raw socket after its handshake. */
class Raw {
  bytes = Buffer.alloc(0);

  static async open(server) {
    const raw = new Raw();
    raw.socket = net.connect(server.port, '127.0.0.1');
    raw.socket.on('error', () => {});
    raw.ended = new Promise((resolve) => raw.socket.on('close', resolve));
    await once(raw.socket, 'connect');
    raw.socket.write(`GET /connection/websocket HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`);
    await new Promise((resolve) => {
      raw.socket.on('data', (bytes) => {
        raw.bytes = Buffer.concat([raw.bytes, bytes]);
        const end = raw.bytes.indexOf('\r\n\r\n');
        if (raw.open === undefined && end >= 0) {
          raw.open = true;
          assert.match(raw.bytes.toString('latin1'), /^HTTP\/1\.1 101/);
          raw.bytes = raw.bytes.subarray(end + 4);
          resolve();
        }
        // The server waits a while for the answer to its close frame.
        if (raw.open && raw.#closed() !== undefined) raw.socket.write(closing(1000));
      });
    });
    return raw;
  }

  /** The code of the close frame that ended it; 1006 where there was none. */
  async code() {
    await within(15_000, 'the server ends the connection', this.ended);
    return this.#closed() ?? 1006;
  }

  #closed() {
    for (let at = 0; at + 2 <= this.bytes.length; ) {
      const [opcode, short] = [this.bytes[at] & 15, this.bytes[at + 1] & 127];
      const length = short === 126 ? this.bytes.readUInt16BE(at + 2) : short === 127 ? Number(this.bytes.readBigUInt64BE(at + 2)) : short;
      const from = at + 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
      if (opcode === CLOSE) return length >= 2 ? this.bytes.readUInt16BE(from) : 1005;
      at = from + length;
    }
    return undefined;
  }
}

const many = (count, make) => Array.from({ length: count }, (_, n) => make(n));
/** What is sent after the handshake, and the close codes that may answer it. */
const ATTACKS = [
  ['a frame that is not masked', [frame(TEXT, '{}', { mask: false })], [1002]],
  ['reserved bit 1 without an extension', [frame(TEXT, '{}', { reserved: 4 })], [1002]],
  ['reserved bit 2', [frame(TEXT, '{}', { reserved: 2 })], [1002]],
  ['reserved bit 3', [frame(TEXT, '{}', { reserved: 1 })], [1002]],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => [`the reserved opcode ${opcode}`, [frame(opcode, 'x')], [1002]]),
  ['a ping of 126 bytes', [frame(PING, 'x'.repeat(126))], [1002]],
  ['a ping in fragments', [frame(PING, 'x', { fin: false })], [1002]],
  ['a close frame of one byte', [frame(CLOSE, 'x')], [1002]],
  ...[0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535].map((code) => [`the close code ${code}`, [closing(code)], [1002]]),
  ['a close reason that is not UTF-8', [closing(1000, Buffer.from([0xff, 0xfe]))], [1007, 1002]],
  ['a continuation of nothing', [frame(CONTINUATION, 'x')], [1002]],
  ['a new message inside another', [frame(TEXT, '{', { fin: false }), frame(TEXT, '}')], [1002]],
  ['text that is not UTF-8', [connect(), frame(TEXT, Buffer.from([0xc3, 0x28]))], [1007]],
  ['text that breaks UTF-8 at the joint of two fragments', [connect(), frame(TEXT, Buffer.from([0xf0, 0x9f]), { fin: false }), frame(CONTINUATION, Buffer.from([0x28, 0x8c]))], [1007]],
  ['a surrogate in UTF-8', [connect(), frame(TEXT, Buffer.from([0xed, 0xa0, 0x80]))], [1007]],
  ['a message of 65 KiB', [connect(), frame(TEXT, 'x'.repeat(65 * 1024))], [1009]],
  ['a message of 65 KiB in fragments of 1 KiB', [connect(), frame(TEXT, 'x'.repeat(1024), { fin: false }), ...many(64, () => frame(CONTINUATION, 'x'.repeat(1024), { fin: false }))], [1009]],
  ['a claimed length of 2^63 - 1', [connect(), frame(TEXT, 'x', { claimed: 2n ** 63n - 1n, longForm: true })], [1009]],
  ['a claimed length of 2^63 and more', [connect(), frame(TEXT, 'x', { claimed: 2n ** 63n + 5n, longForm: true })], [1002, 1009]],
  ['100,000 empty fragments', [connect(), frame(TEXT, '', { fin: false }), ...many(100_000, () => frame(CONTINUATION, '', { fin: false }))], [1002, 1008, 1009]],
  ['binary frames to a text protocol', [frame(BINARY, Buffer.from([1, 2, 3, 0xff]))], [3501, 1003, 1007]],
  ['commands before connect', [frame(TEXT, '{"id":1,"publish":{"channel":"a","data":1}}')], [3501]],
  ['a hundred thousand brackets', [connect(), frame(TEXT, '['.repeat(60_000))], [3501]],
  ['an object nested twenty thousand times', [connect(), frame(TEXT, '{"a":'.repeat(10_000))], [3501]],
  ['NUL bytes', [connect(), frame(TEXT, '\0'.repeat(100))], [3501]],
  ['pongs that nobody asked for', [connect(), frame(TEXT, '{}')], [3501]],
  ['bytes that are no frame at all', [randomBytes(4096).fill(0x77, 0, 1)], [1002]],
  ['data after the close frame', [closing(1000), frame(TEXT, '{}'), frame(PING, 'x')], [1000, 1006]],
];

let server;
let resident;
/** Somebody who works all the while. */
let ana;
before(async () => {
  server = await Server.start({ env: SECRETS, memory: 512 });
  ana = await Frames.connect(server.websocketUrl, { token: tokenFor('ana') });
  assert.ok((await ana.subscribe('work')).subscribe);
  resident = server.resident;
});
after(() => server.kill());

for (const [what, frames, codes] of ATTACKS) {
  test(`${what} ends its connection with ${codes.join(' or ')} and nothing else`, async () => {
    const raw = await Raw.open(server);
    raw.socket.write(Buffer.concat(frames));
    const code = await raw.code();
    assert.ok(codes.includes(code), `closed with ${code}`);
    assert.ok((await ana.ask({ publish: { channel: 'work', data: what } })).publish);
    await ana.until('the work goes on', (line) => line.push?.pub?.data === what);
  });
}

test('100,000 pings and 100,000 pongs of the transport are answered or ignored, and others go on', async () => {
  const raw = await Raw.open(server);
  raw.socket.write(connect());
  raw.socket.write(Buffer.concat(many(100_000, () => frame(PING, 'x'))));
  raw.socket.write(Buffer.concat(many(100_000, () => frame(PONG, 'x'))));
  raw.socket.write(closing(1000));
  assert.equal(await raw.code(), 1000);
  assert.ok((await ana.ask({ publish: { channel: 'work', data: 1 } })).publish);
});

test('pings that are not read back stop the reading, not the server (S15)', async () => {
  const raw = await Raw.open(server);
  raw.socket.pause();
  const flood = Buffer.concat(many(1_000, () => frame(PING, 'x'.repeat(100))));
  let taken = 0;
  while (taken < 500 && raw.socket.write(flood)) taken += 1;
  for (let n = 0; n < 20; n += 1) assert.ok((await ana.ask({ publish: { channel: 'work', data: n } })).publish);
  raw.socket.destroy();
});

test('all of it together costs little memory', (t) => {
  const grown = server.peak - resident;
  t.diagnostic(`${ATTACKS.length} kinds of frames: ${grown.toFixed(0)} MiB more at the peak, ${server.cpu.toFixed(2)} s of CPU`);
  assert.ok(server.alive);
  assert.ok(grown < GROWTH_MIB_MAX, `${grown} MiB more`);
});
