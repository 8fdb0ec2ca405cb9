// HTTP/2 frames that no browser sends: floods and bombs of the protocol itself, by hand over TLS.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import tls from 'node:tls';

import { TLS, noCertificate } from '../harness/certificate.mjs';
import { request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until, within } from '../harness/wait.mjs';

const skip = noCertificate;
const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION] = [0, 1, 3, 4, 6, 7, 8, 9];
const [ACK, END_STREAM, END_HEADERS] = [1, 1, 4];
const ENHANCE_YOUR_CALM = 11;
/** MiB that the server may take on top of what it had, whatever one connection does. */
const GROWTH_MIB_MAX = 64;

function frame(type, flags, stream, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header field, literal and not indexed (RFC 7541 §6.2.2). */
function literal(name, value) {
  const text = (string) => {
    const bytes = Buffer.from(string);
    assert.ok(bytes.length < 127);
    return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  };
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

const get = (path) => Buffer.concat([literal(':method', 'GET'), literal(':scheme', 'https'), literal(':authority', 'localhost'), literal(':path', path)]);

/** One connection that has said hello; counts what it sends, and keeps what it was told. */
class Raw {
  sent = 0;
  /** The streams that were answered, and those that were reset. */
  answered = new Set();
  reset = new Set();
  /** The code of GOAWAY (RFC 9113 §7). */
  goaway;
  #unread = Buffer.alloc(0);
  #pongs = new Map();

  static async open(server) {
    const raw = new Raw();
    raw.socket = tls.connect({ port: server.port, host: '127.0.0.1', ALPNProtocols: ['h2'], rejectUnauthorized: false });
    raw.socket.on('error', () => {});
    raw.closed = new Promise((resolve) => raw.socket.on('close', resolve));
    raw.socket.on('data', (bytes) => raw.#read(bytes));
    await once(raw.socket, 'secureConnect');
    raw.write(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(SETTINGS, 0, 0), frame(SETTINGS, ACK, 0));
    return raw;
  }

  #read(bytes) {
    this.#unread = Buffer.concat([this.#unread, bytes]);
    while (this.#unread.length >= 9) {
      const end = 9 + this.#unread.readUIntBE(0, 3);
      if (this.#unread.length < end) return;
      const [type, flags, stream] = [this.#unread[3], this.#unread[4], this.#unread.readUInt32BE(5)];
      const payload = this.#unread.subarray(9, end);
      if (type === HEADERS) this.answered.add(stream);
      if (type === RST_STREAM) this.reset.add(stream);
      if (type === GOAWAY) this.goaway = payload.readUInt32BE(4);
      if (type === PING && flags === ACK) this.#pongs.get(payload.toString('hex'))?.();
      this.#unread = this.#unread.subarray(end);
    }
  }

  /** Until everything that was sent before has been read at the other end, or the connection is gone. */
  async heard() {
    const mark = Buffer.from('all read');
    const pong = new Promise((resolve) => this.#pongs.set(mark.toString('hex'), resolve));
    this.write(frame(PING, 0, 0, mark));
    await Promise.race([pong, this.closed]);
  }

  get told() {
    return [`${this.answered.size} answered`, `${this.reset.size} reset`, ...(this.goaway === undefined ? [] : [`GOAWAY ${this.goaway}`]), this.socket.destroyed ? 'cut off' : 'left open'].join(', ');
  }

  write(...frames) {
    this.sent += frames.length;
    return this.socket.writable && this.socket.write(Buffer.concat(frames));
  }

  /** Sends what `make` gives for each number, as fast as it is taken, until it is told to go or has sent all of it. */
  async flood(count, make) {
    for (let n = 0; n < count && !this.socket.destroyed; n += 100) {
      const taken = this.write(...Array.from({ length: 100 }, (_, k) => make(n + k)).flat());
      if (!taken && !this.socket.destroyed) await Promise.race([once(this.socket, 'drain'), this.closed]).catch(() => {});
    }
  }
}

/** Attacks one server, and says what it cost; meanwhile somebody else is answered. */
async function attacked(t, attack) {
  const server = await Server.start({ args: TLS, memory: 512 });
  t.after(() => server.kill());
  await request(`${server.url}/healthz`);
  const before = { resident: server.resident, cpu: server.cpu };
  const raw = await Raw.open(server);
  const attacking = within(30_000, 'the attack', attack(raw).then(() => raw.socket.isPaused() || raw.heard()));
  let slowest = 0;
  let answered = 0;
  let over = false;
  const others = (async () => {
    while (!over) {
      const began = performance.now();
      const { status } = await within(5_000, 'somebody else is answered', request(`${server.url}/healthz`));
      assert.equal(status, 200);
      slowest = Math.max(slowest, performance.now() - began);
      answered += 1;
    }
  })();
  await attacking;
  over = true;
  await others;
  const grown = server.peak - before.resident;
  t.diagnostic(`${raw.sent} frames, ${raw.told}; ${grown.toFixed(0)} MiB more at the peak, ${(server.cpu - before.cpu).toFixed(2)} s of CPU; ${answered} others answered, the slowest after ${slowest.toFixed(0)} ms`);
  assert.ok(server.alive);
  assert.ok(grown < GROWTH_MIB_MAX, `${grown} MiB more`);
  raw.socket.destroy();
  return raw;
}

test('rapid reset: requests that are cancelled as soon as they are sent end the connection (CVE-2023-44487)', { skip }, async (t) => {
  const raw = await attacked(t, (raw) => raw.flood(100_000, (n) => [frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, get('/v1/rooms')), frame(RST_STREAM, 0, 2 * n + 1, Buffer.from([0, 0, 0, 8]))]));
  assert.ok([ENHANCE_YOUR_CALM, undefined].includes(raw.goaway) && raw.socket.destroyed, 'such a peer is sent away');
});

test('a head without an end: CONTINUATION frames are bounded (CVE-2024-27316)', { skip }, async (t) => {
  const filler = literal('x', 'y'.repeat(100));
  const raw = await attacked(t, async (raw) => {
    raw.write(frame(HEADERS, END_STREAM, 1, get('/')));
    await raw.flood(200_000, () => frame(CONTINUATION, 0, 1, filler));
  });
  assert.ok(raw.socket.destroyed, 'such a peer is sent away');
  assert.equal(raw.answered.size, 0);
});

test('an HPACK bomb: a large field that is referred to thousands of times is refused, not unpacked', { skip }, async (t) => {
  const raw = await attacked(t, async (raw) => {
    // Indexed into the dynamic table once (RFC 7541 §6.2.1), then referred to as entry 62.
    const value = 'z'.repeat(3_900);
    const length = Buffer.from([0x7f, (value.length - 127) % 128 | 0x80, Math.floor((value.length - 127) / 128)]);
    const large = Buffer.concat([Buffer.from([0x40, 1]), Buffer.from('a'), length, Buffer.from(value)]);
    raw.write(frame(HEADERS, END_STREAM | END_HEADERS, 1, Buffer.concat([get('/healthz'), large])));
    raw.write(frame(HEADERS, END_STREAM | END_HEADERS, 3, Buffer.concat([get('/healthz'), Buffer.from([0x80 | 62])])));
    await until('the field is understood, once', () => raw.answered.has(1) && raw.answered.has(3));
    await raw.flood(200, (n) => frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 5, Buffer.concat([get('/healthz'), Buffer.alloc(12_000, 0x80 | 62)])));
  });
  // Its last word may be lost when it closes on what it has not read.
  assert.ok(raw.socket.destroyed || raw.reset.size > 0 || raw.answered.size > 2, 'each of them was refused');
});

for (const [what, make] of [
  ['SETTINGS', () => frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0, 0, 255, 255]))],
  ['PING', () => frame(PING, 0, 0, Buffer.alloc(8))],
  ['empty DATA', () => frame(DATA, 0, 1)],
  ['WINDOW_UPDATE', () => frame(WINDOW_UPDATE, 0, 0, Buffer.from([0, 0, 0, 1]))],
]) {
  test(`a flood of ${what} frames is answered within bounds or ends the connection`, { skip }, async (t) => {
    await attacked(t, async (raw) => {
      if (what === 'empty DATA') raw.write(frame(HEADERS, END_HEADERS, 1, Buffer.concat([get('/v1/session'), literal('content-type', 'application/json')])));
      await raw.flood(100_000, make);
    });
  });
}

test('answers to PING that nobody reads are bounded', { skip }, async (t) => {
  await attacked(t, async (raw) => {
    raw.socket.pause();
    await Promise.race([raw.flood(400_000, () => frame(PING, 0, 0, Buffer.alloc(8))), new Promise((resolve) => setTimeout(resolve, 5_000))]);
    raw.socket.destroy();
  });
});
