// The wire itself: frames written and read by hand, without any SDK's help.

import { once } from 'node:events';
import WebSocket from 'ws';

import { within } from './wait.mjs';

const SOON = 10_000;

/** One raw connection. Frames are split into their JSON lines; `{}` (a ping) is answered and not shown. */
export class Frames {
  #lines = [];
  #waiting = [];
  #asked = new Map();
  #closed;

  constructor(socket, { pong = true } = {}) {
    this.socket = socket;
    this.#closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.code = code;
        for (const give of [...this.#waiting.splice(0), ...this.#asked.values()]) give({ closed: code });
        resolve({ code, reason: reason.toString() });
      });
    });
    socket.on('error', () => {});
    socket.on('message', (data) => {
      for (const text of data.toString().split('\n')) {
        if (text === '{}') {
          this.pings = (this.pings ?? 0) + 1;
          if (pong) socket.send('{}');
          continue;
        }
        const line = JSON.parse(text);
        const give = this.#asked.get(line.id) ?? this.#waiting.shift();
        if (give) give(line);
        else this.#lines.push(line);
      }
    });
  }

  /** Opens a socket; `headers` may carry a cookie and an origin. */
  static async open(url, { headers, protocols = [], ...options } = {}) {
    const socket = new WebSocket(url, protocols, { headers, perMessageDeflate: false });
    const frames = new Frames(socket, options);
    await within(SOON, `a socket to ${url}`, once(socket, 'open'));
    return frames;
  }

  /** Opens a socket and connects; the connect result is in `.connected`. */
  static async connect(url, connect, options) {
    const frames = await Frames.open(url, options);
    const reply = await frames.ask({ connect });
    if (!reply.connect) throw new Error(`not connected: ${JSON.stringify(reply)}`);
    frames.connected = reply.connect;
    return frames;
  }

  /** As a person of the chat: by the cookie, from the server's own page. */
  static person(person, options = {}) {
    const { url = person.server.websocketUrl, ...more } = options;
    const origin = url.replace(/^ws/, 'http').replace('/connection/websocket', '');
    return Frames.connect(url, {}, { headers: { cookie: person.cookie, origin }, ...more });
  }

  #id = 0;

  /** Sends one frame of one or more commands, exactly as given. */
  send(...commands) {
    this.socket.send(commands.map((command) => (typeof command === 'string' ? command : JSON.stringify(command))).join('\n'));
  }

  /** The next reply or push, or `{closed: code}`. */
  next(what = 'the next frame', timeout = SOON) {
    if (this.#lines.length > 0) return Promise.resolve(this.#lines.shift());
    if (this.code !== undefined) return Promise.resolve({ closed: this.code });
    return within(timeout, what, new Promise((resolve) => this.#waiting.push(resolve)));
  }

  /** Sends a command and returns its reply, or `{closed: code}`; pushes that came before it stay to be read. */
  async ask(command) {
    this.#id += 1;
    const id = this.#id;
    const reply = new Promise((resolve) => this.#asked.set(id, resolve));
    if (this.code !== undefined) return { closed: this.code };
    this.send({ id, ...command });
    try {
      return await within(SOON, `the reply to ${JSON.stringify(command).slice(0, 200)}`, reply);
    } finally {
      this.#asked.delete(id);
    }
  }

  subscribe(channel, more = {}) {
    return this.ask({ subscribe: { channel, ...more } });
  }

  rpc(method, data) {
    return this.ask({ rpc: { method, data } });
  }

  /** Reads on until a line fits, and returns what `fits` made of it. */
  async until(what, fits) {
    for (;;) {
      const line = await this.next(what);
      const found = fits(line);
      if (found) return found;
      if (line.closed !== undefined) throw new Error(`closed with ${line.closed} while waiting: ${what}`);
    }
  }

  /** What has arrived and was not read yet. */
  take() {
    return this.#lines.splice(0);
  }

  closed() {
    return within(SOON, 'the socket closes', this.#closed);
  }

  close() {
    this.socket.close();
  }
}
