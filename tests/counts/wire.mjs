// WebSockets by hand, so that every run sends the same bytes in the same writes.

import { once } from 'node:events';
import { connect } from 'node:net';

import { within } from '../harness/wait.mjs';

// A server under valgrind is some fifty times slower.
export const PATIENCE = 120_000;
const MASK = Buffer.from([1, 2, 3, 4]);

/** Counts up; who waits for a number is told when it is reached. */
export class Count {
  value = 0;
  #waiting = [];

  add() {
    this.value += 1;
    if (this.#waiting.length > 0) this.#waiting = this.#waiting.filter(({ number, tell }) => this.value < number || void tell());
  }

  upTo(number, what) {
    if (this.value >= number) return Promise.resolve();
    return within(PATIENCE, `${what}: ${number}`, new Promise((tell) => this.#waiting.push({ number, tell })));
  }
}

/** One connection that counts what comes: replies, publications, and pings, which it answers. */
export class Wire {
  #rest = Buffer.alloc(0);
  #id = 0;
  replies = new Count();

  constructor(socket, { publications = new Count(), pings = new Count() } = {}) {
    this.socket = socket;
    this.publications = publications;
    this.pings = pings;
  }

  static async open(server, { headers = {}, ...counts } = {}) {
    const socket = connect({ port: server.port, host: '127.0.0.1', noDelay: true });
    const wire = new Wire(socket, counts);
    const fields = {
      Host: `127.0.0.1:${server.port}`, Connection: 'Upgrade', Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers,
    };
    socket.on('error', () => {});
    socket.write(`GET /connection/websocket HTTP/1.1\r\n${Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
    const [answer] = await within(PATIENCE, 'the handshake', once(socket, 'data'));
    if (!/^HTTP\/1.1 101 [^]*\r\n\r\n$/.test(answer.toString('latin1'))) throw new Error(`no WebSocket: ${answer}`);
    socket.on('data', (part) => wire.#take(part));
    return wire;
  }

  /** Opens, connects with a client token, and subscribes, each after the answer to the last. */
  static async subscribed(server, token, channel, counts) {
    const wire = await Wire.open(server, counts);
    await wire.ask({ connect: { token } });
    await wire.ask({ subscribe: { channel } });
    return wire;
  }

  /** Sends commands in one message and waits for their replies. */
  async ask(...commands) {
    this.#send(1, commands.map((command) => JSON.stringify({ id: (this.#id += 1), ...command })).join('\n'));
    await this.replies.upTo(this.#id, 'replies');
  }

  /** Closes as RFC 6455 has it, and waits for the end of the connection. */
  async close() {
    const ended = once(this.socket, 'close');
    this.#send(8, Buffer.from([3, 232]));
    await within(PATIENCE, 'the server closes', ended);
  }

  #send(opcode, payload) {
    const body = Buffer.from(payload);
    for (let i = 0; i < body.length; i += 1) body[i] ^= MASK[i & 3];
    const head = body.length < 126 ? [0x80 | opcode, 0x80 | body.length] : [0x80 | opcode, 0xfe, body.length >> 8, body.length & 0xff];
    this.socket.write(Buffer.concat([Buffer.from(head), MASK, body]));
  }

  #take(part) {
    let rest = this.#rest.length > 0 ? Buffer.concat([this.#rest, part]) : part;
    for (;;) {
      const short = rest[1];
      const [head, length] = short === 127 ? [10, rest.length < 10 ? 0 : Number(rest.readBigUInt64BE(2))] : short === 126 ? [4, rest.length < 4 ? 0 : rest.readUInt16BE(2)] : [2, short];
      if (rest.length < 2 || rest.length < head + length) break;
      this.#message(rest[0] & 15, rest.subarray(head, head + length));
      rest = rest.subarray(head + length);
    }
    this.#rest = rest;
  }

  #message(opcode, payload) {
    if (opcode === 8) this.code = payload.length < 2 ? 1005 : payload.readUInt16BE(0);
    if (opcode === 9) this.#send(10, payload);
    if (opcode !== 1) return;
    for (const line of payload.toString('latin1').split('\n')) {
      if (line === '{}') {
        this.#send(1, '{}');
        this.pings.add();
      } else if (line.startsWith('{"push":')) {
        if (line.includes('"pub":')) this.publications.add();
      } else if (line.includes('"error":')) throw new Error(`refused: ${line}`);
      else this.replies.add();
    }
  }
}
