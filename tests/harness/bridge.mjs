// SDKs of other languages behind the surface of the JavaScript one, so that the same tests are about them: a program of
// theirs (sdk/java, sdk/rust) is told line by line what to do, and says line by line what happened.

import { spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const CACHE = fileURLToPath(new URL('../.cache', import.meta.url));

// What Java's 0.4.1 does wrong whatever the server does: it ends a subscription for the error 109 that it subscribes
// again after, and gives a peer that says nothing a minute to answer its close.
export const AFTER_109 = 'a second try after error 109';
export const SILENCE = 'a way out of a silent line';

const PROGRAMS = {
  // C1 alone: it starts in half the time.
  java: { command: ['java', '-XX:TieredStopAtLevel=1', '-cp', `${CACHE}/java:${CACHE}/java/jars/*`, 'Bridge'], lacks: ['batching', 'delta', 'getData', 'getState', 'positions', 'since', AFTER_109, SILENCE] },
  rust: { command: [`${CACHE}/rust/debug/bridge`], lacks: [] },
};

// The SDKs' subscriptions wait until they are subscribed; their clients ask at once.
const BY_SUBSCRIPTION = { bySubscription: 1 };

/** What the SDK of a language is without. */
export const lackedBy = (language) => PROGRAMS[language].lacks;

export class UnauthorizedError extends Error {}

/** The program of a language, with all clients of this process. */
class Program {
  #child;
  #lines;
  #open = 0;
  clients = new Map();

  constructor(language) {
    const [command, ...args] = PROGRAMS[language].command;
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    process.on('exit', () => this.#child.kill('SIGKILL'));
    this.#child.once('error', (error) => { throw error; });
    this.#child.once('exit', (code) => { if (this.#open > 0) throw new Error(`the ${language} program ended with ${code}`); });
    this.#lines = createInterface(this.#child.stdout);
    this.#lines.on('line', (line) => {
      const said = JSON.parse(line);
      this.clients.get(said.at)?.hears(said);
    });
    this.#keepsAlive(false);
  }

  // Without a client the test process may end.
  #keepsAlive(does) {
    for (const one of [this.#child, this.#child.stdin, this.#child.stdout]) does ? one.ref() : one.unref();
  }

  tell(fields) {
    const said = Object.entries(fields).filter(([, value]) => value !== undefined && value !== false);
    this.#child.stdin.write(`${said.map(([name, value]) => `${name}=${value}`).join('\t')}\n`);
  }

  opened(more) {
    this.#open += more;
    this.#keepsAlive(this.#open > 0);
  }
}

let program;

const json = (data) => (data === '' || data === undefined ? undefined : JSON.parse(Buffer.from(data, 'base64').toString()));
const written = (data) => (data === undefined || data === null ? undefined : JSON.stringify(data));
const infoOf = ({ user, client, connInfo, chanInfo }) => ({ user, client, connInfo: json(connInfo), chanInfo: json(chanInfo) });

/** An event or an answer as the JavaScript SDK would give it. */
function shaped({ at, of, event, answer, ...rest }) {
  if ('data' in rest) rest.data = json(rest.data);
  if (rest.offset === 0 && event === 'publication') delete rest.offset;
  if (rest.info) rest.info = rest.info.client === '' ? undefined : infoOf(rest.info);
  if (rest.publications) rest.publications = rest.publications.map((one) => shaped(one));
  if (rest.clients) rest.clients = Object.fromEntries(Object.entries(rest.clients).map(([id, info]) => [id, infoOf(info)]));
  if (event === 'subscribed') rest.hasRecoveredPublications = undefined;
  return rest;
}

/** As with the JavaScript SDK, an error that nobody listens for is no exception. */
class Emitter extends EventEmitter {
  constructor() {
    super();
    this.setMaxListeners(0);
    this.on('error', () => {});
  }
}

class Subscription extends Emitter {
  state = 'unsubscribed';
  #client;

  constructor(client, channel, { getToken, data, ...options }) {
    super();
    Object.assign(this, { channel, getToken });
    this.#client = client;
    client.tell('new', { channel, data: written(data), getToken: Boolean(getToken), ...options });
  }

  hears(name, context) {
    if (['subscribing', 'subscribed', 'unsubscribed'].includes(name)) this.state = name;
    this.emit(name, { channel: this.channel, ...context });
  }

  subscribe() { this.#client.tell('subscribe', { channel: this.channel }); }
  /** Resolves when it has, since some SDKs do it later than what they are told next. */
  unsubscribe() {
    const ended = new Promise((resolve) => this.once('unsubscribed', resolve));
    this.#client.tell('unsubscribe', { channel: this.channel });
    return ended;
  }
  publish(data) { return this.#client.publish(this.channel, data, BY_SUBSCRIPTION); }
  history(options) { return this.#client.history(this.channel, options, BY_SUBSCRIPTION); }
  presence() { return this.#client.presence(this.channel, BY_SUBSCRIPTION); }
  presenceStats() { return this.#client.presenceStats(this.channel, BY_SUBSCRIPTION); }
}

let clients = 0;

/** A client of the SDK of a language. */
export class Bridged extends Emitter {
  state = 'disconnected';
  #name = String((clients += 1));
  #answers = new Map();
  #asked = 0;
  #subscriptions = new Map();
  #getToken;

  constructor(language, url, { getToken, data, websocket, ...options }) {
    super();
    program ??= new Program(language);
    program.clients.set(this.#name, this);
    program.opened(1);
    this.#getToken = getToken;
    this.tell('open', { url, data: written(data), getToken: Boolean(getToken), ...options });
  }

  tell(what, fields = {}) {
    program.tell({ at: this.#name, do: what, ...fields });
  }

  #ask(what, fields) {
    const id = (this.#asked += 1);
    this.tell(what, { id, ...fields });
    return new Promise((resolve, reject) => {
      this.#answers.set(id, ({ error, result }) => {
        this.#answers.delete(id);
        if (error) reject(Object.assign(new Error(error.message), error));
        else resolve(shaped(result));
      });
    });
  }

  async hears(said) {
    if (said.answer !== undefined) return this.#answers.get(said.answer)(said);
    if (said.event === 'ask') return this.#givesToken(said.of);
    const context = shaped(said);
    if (said.of) return this.#subscriptions.get(said.of)?.hears(said.event, context);
    if (['connecting', 'connected', 'disconnected'].includes(said.event)) this.state = said.event;
    return this.emit(said.event, context);
  }

  async #givesToken(of) {
    const getToken = of === '' ? this.#getToken : this.#subscriptions.get(of).getToken;
    try {
      this.tell('token', { of, token: await getToken({ channel: of }) });
    } catch (error) {
      this.tell('token', { of, ...(error instanceof UnauthorizedError ? { unauthorized: 1 } : { failed: error.message }) });
    }
  }

  connect() { this.tell('connect'); }
  /** A test has no more use of it. */
  close() {
    this.disconnect();
    program.opened(-1);
  }
  disconnect() { this.tell('disconnect'); }
  newSubscription(channel, options = {}) {
    const made = new Subscription(this, channel, options);
    this.#subscriptions.set(channel, made);
    return made;
  }
  removeSubscription({ channel }) {
    this.#subscriptions.delete(channel);
    this.tell('remove', { channel });
  }
  publish(channel, data, by) { return this.#ask('publish', { channel, data: written(data), ...by }); }
  rpc(method, data) { return this.#ask('rpc', { method, data: written(data) }); }
  send(data) { return this.#ask('send', { data: written(data) }); }
  history(channel, { since, ...options } = {}, by) { return this.#ask('history', { channel, ...options, ...since, ...by }); }
  presence(channel, by) { return this.#ask('presence', { channel, ...by }); }
  presenceStats(channel, by) { return this.#ask('presenceStats', { channel, ...by }); }
}
