// Live connections over plain HTTP, by hand: a response that does not end, and the requests beside it.

import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';

import { request } from './http.mjs';
import { within } from './wait.mjs';

const SOON = 10_000;

/** What browsers have and Node does not: an event stream, read as the SDK reads it. */
export class EventSource {
  #abort = new AbortController();

  constructor(url) {
    this.url = url;
    this.#read().then(() => this.onerror?.({}), () => this.onerror?.({}));
  }

  async #read() {
    const answer = await fetch(this.url, { headers: { accept: 'text/event-stream' }, signal: this.#abort.signal });
    if (answer.status !== 200 || !/^text\/event-stream/.test(answer.headers.get('content-type'))) throw new Error(`${answer.status}`);
    this.onopen?.({});
    const decoder = new TextDecoder();
    let waiting = '';
    for await (const bytes of answer.body) {
      waiting += decoder.decode(bytes, { stream: true });
      const events = waiting.split('\n\n');
      waiting = events.pop();
      for (const event of events) {
        const data = dataOf(event);
        if (data !== undefined) this.onmessage?.({ data });
      }
    }
  }

  close() {
    this.onerror = undefined;
    this.#abort.abort();
  }
}

/** What an event carries. */
export function dataOf(event) {
  const lines = event.split(/\r?\n/).filter((line) => line.startsWith('data: '));
  return lines.length === 0 ? undefined : lines.map((line) => line.slice('data: '.length)).join('\n');
}

/** One stream: its head, and what comes, message by message. Pings are counted, answered and not shown. */
export class Stream {
  #lines = [];
  #waiting = [];
  #text = '';
  #id = 1;
  text = '';
  pings = 0;

  constructor(url, { pong = true } = {}) {
    this.url = url;
    this.origin = new URL(url).origin;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.pong = pong;
  }
  #end;

  /** Opens one by a request; `.status` and `.headers` say what came of it, and `.close()` goes away. */
  static async open(url, { method = 'POST', headers = {}, body, session, ...options } = {}) {
    const stream = new Stream(url, options);
    const all = { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers };
    await within(SOON, `an answer of ${url}`, session ? stream.#overHttp2(session, method, all, body) : stream.#overHttp1(method, all, body));
    return stream;
  }

  /** Opens one and connects; the connect result is in `.connected`. */
  static async connect(url, connect, options) {
    const stream = await Stream.open(url, { body: JSON.stringify({ id: 1, connect }), ...options });
    const reply = await stream.next('the connect reply');
    if (!reply.connect) throw new Error(`not connected: ${JSON.stringify(reply)}`);
    stream.connected = reply.connect;
    return stream;
  }

  #overHttp1(method, headers, body) {
    const secure = this.url.startsWith('https:');
    return new Promise((resolve, reject) => {
      const options = { method, headers, agent: false, rejectUnauthorized: false };
      const call = (secure ? https : http).request(this.url, options, (answer) => {
        Object.assign(this, { status: answer.statusCode, headers: answer.headers, socket: answer.socket });
        this.#read(answer);
        this.close = () => answer.destroy();
        this.pause = () => answer.pause();
        this.resume = () => answer.resume();
        resolve();
      });
      call.on('error', reject);
      call.end(body);
    });
  }

  #overHttp2(session, method, headers, body) {
    return new Promise((resolve, reject) => {
      const { pathname, search } = new URL(this.url);
      const call = session.request({ ':method': method, ':path': pathname + search, ...headers });
      call.on('response', (head) => {
        Object.assign(this, { status: head[':status'], headers: head });
        resolve();
      });
      call.on('error', reject);
      this.#read(call);
      this.close = () => call.close(http2.constants.NGHTTP2_CANCEL);
      this.pause = () => call.pause();
      this.resume = () => call.resume();
      call.end(body);
    });
  }

  #read(answer) {
    const done = (how) => {
      this.end ??= how;
      for (const give of this.#waiting.splice(0)) give({ ended: this.end });
      this.#end(this.end);
    };
    answer.setEncoding('utf8');
    answer.on('data', (text) => this.#took(text));
    answer.on('end', () => done('whole'));
    answer.on('error', () => done('cut'));
    answer.on('close', () => done('cut'));
  }

  #took(text) {
    this.text += text;
    this.#text += text;
    const isEvents = /event-stream/.test(this.headers?.['content-type']);
    const messages = this.#text.split(isEvents ? '\n\n' : '\n');
    this.#text = messages.pop();
    for (const message of messages) {
      for (const line of ((isEvents ? dataOf(message) : message) ?? '').split('\n').filter(Boolean)) this.#heard(line);
    }
  }

  #heard(line) {
    if (line === '{}') {
      this.pings += 1;
      if (this.pong && this.connected?.pong) this.send('{}').catch(() => {});
      return;
    }
    const message = JSON.parse(line);
    const give = this.#waiting.shift();
    if (give) give(message);
    else this.#lines.push(message);
  }

  /** The next message, or `{ended}`: `whole`, or `cut` in the middle. */
  next(what = 'the next message', timeout = SOON) {
    if (this.#lines.length > 0) return Promise.resolve(this.#lines.shift());
    if (this.end !== undefined) return Promise.resolve({ ended: this.end });
    return within(timeout, what, new Promise((resolve) => this.#waiting.push(resolve)));
  }

  /** Reads on until a message fits, and returns what `fits` made of it. */
  async until(what, fits) {
    for (;;) {
      const message = await this.next(what);
      const found = fits(message);
      if (found) return found;
      if (message.ended) throw new Error(`the stream ended (${message.ended}) while waiting: ${what}`);
    }
  }

  /** Sends one frame of commands by a request of its own, and returns its answer. */
  send(...commands) {
    const data = commands.map((command) => (typeof command === 'string' ? command : JSON.stringify(command))).join('\n');
    return emulate(this.origin, { session: this.connected.session, node: this.connected.node, data });
  }

  /** Sends a command and returns its reply; what came before it stays unread. */
  async ask(command) {
    const id = (this.#id += 1);
    const { status, text } = await this.send({ id, ...command });
    if (status !== 204) throw new Error(`the uplink answered ${status}: ${text}`);
    return this.until(`the reply to ${JSON.stringify(command).slice(0, 200)}`, (message) => message.id === id && message);
  }

  subscribe(channel, more = {}) {
    return this.ask({ subscribe: { channel, ...more } });
  }

  /** The last message: why the server ended it. */
  async farewell() {
    return this.until('the farewell', (message) => message.push?.disconnect ?? message.disconnect);
  }
}

/** One request of the uplink. */
export function emulate(origin, body, headers = {}) {
  const text = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return request(`${origin}/emulation`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: text });
}
