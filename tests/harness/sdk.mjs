// The stock JavaScript SDK, with reconnects fast enough for a test and events that can be waited for; in protobuf where
// TIDINGS_TEST_PROTOCOL says so, and over the transport that TIDINGS_TEST_TRANSPORT names, with the same tests. Where
// TIDINGS_TEST_SDK names another language, its SDK takes the place.

import * as json from 'centrifuge';
import * as protobuf from 'centrifuge/build/protobuf';
import WebSocket from 'ws';

import * as bridge from './bridge.mjs';
import { EventSource } from './streams.mjs';
import { within } from './wait.mjs';

const SOON = 10_000;

/** A value as the bytes of its JSON, which is what the tests' application sends where data is bytes. */
export const toBytes = (value) => new TextEncoder().encode(JSON.stringify(value));

/** The other way round, wherever in what the SDK gives an application there are bytes; what is around them stays. */
export function fromBytes(given) {
  if (given instanceof Uint8Array) return given.length === 0 ? undefined : JSON.parse(new TextDecoder().decode(given));
  if (given !== null && typeof given === 'object' && !(given instanceof Error)) {
    for (const name of Object.keys(given)) given[name] = fromBytes(given[name]);
  }
  return given;
}

/** Makes bytes of values and values of bytes at the surface of the SDK, so that tests say and hear the same in protobuf. */
class OfValues extends protobuf.Centrifuge {
  constructor(url, { data, ...options }) {
    super(url, data === undefined ? options : { data: toBytes(data), ...options });
  }
  newSubscription(channel, { data, ...options } = {}) {
    const subscription = super.newSubscription(channel, data === undefined ? options : { data: toBytes(data), ...options });
    const { emit } = subscription;
    subscription.emit = (name, ...contexts) => emit.call(subscription, name, ...contexts.map(fromBytes));
    return subscription;
  }
  emit(name, ...contexts) {
    return super.emit(name, ...contexts.map(fromBytes));
  }
  async publish(channel, data) {
    return super.publish(channel, toBytes(data));
  }
  async send(data) {
    return super.send(toBytes(data));
  }
  async rpc(method, data) {
    return fromBytes(await super.rpc(method, data === undefined ? undefined : toBytes(data)));
  }
  async history(...given) {
    return fromBytes(await super.history(...given));
  }
  async presence(channel) {
    return fromBytes(await super.presence(channel));
  }
}

/** Whether data is bytes on the wire. */
export const IN_PROTOBUF = process.env.TIDINGS_TEST_PROTOCOL === 'protobuf';
const LANGUAGE = process.env.TIDINGS_TEST_SDK ?? 'javascript';
const Client = IN_PROTOBUF ? OfValues : json.Centrifuge;
export const { UnauthorizedError } = LANGUAGE !== 'javascript' ? bridge : IN_PROTOBUF ? protobuf : json;

export const { AFTER_109, SILENCE } = bridge;

/** Why a test of these does not run, or `false` where the SDK has all of them. */
export function lacks(...features) {
  const missing = LANGUAGE === 'javascript' ? [] : features.filter((feature) => bridge.lackedBy(LANGUAGE).includes(feature));
  return missing.length > 0 && `the SDK of ${LANGUAGE} is without ${missing.join(', ')}`;
}

const TRANSPORT = process.env.TIDINGS_TEST_TRANSPORT ?? 'websocket';
/** Whether what a client sends arrives in its order: requests of their own may overtake each other. */
export const IN_ORDER = TRANSPORT === 'websocket';

/** What the SDK wants to know of a server at the address of its WebSocket, to reach it by these transports in turn. */
export function endpoints(websocketUrl, transports) {
  const base = websocketUrl.replace(/^ws/, 'http').replace(/\/connection\/websocket.*/, '');
  const at = (transport) => (transport === 'websocket' ? websocketUrl : `${base}/connection/${transport}`);
  return {
    endpoints: transports.map((transport) => ({ transport, endpoint: at(transport) })),
    options: { emulationEndpoint: `${base}/emulation`, eventsource: EventSource },
  };
}

/** A client of the SDK; closed when the test ends. `transports` are tried in turn. */
export function client(t, url, { transports = TRANSPORT === 'websocket' ? undefined : [TRANSPORT], ...given } = {}) {
  const over = transports && endpoints(url, transports);
  if (LANGUAGE !== 'javascript') {
    const options = { minReconnectDelay: 20, maxReconnectDelay: 200, ...given };
    const made = new bridge.Bridged(LANGUAGE, url, IN_PROTOBUF ? { protobuf: 1, ...options } : options);
    made.on('error', () => {});
    t.after(() => made.close());
    return made;
  }
  const options = { websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 200, ...over?.options, ...given };
  const made = new Client(over?.endpoints ?? url, options);
  made.on('error', () => {});
  t.after(() => made.disconnect());
  return made;
}

/** The next event of that name. */
export function event(emitter, name) {
  return within(SOON, `the event '${name}'`, new Promise((resolve) => emitter.once(name, resolve)));
}

/** Collects every event of that name; `take(n)` waits until there are n. */
export function collect(emitter, name) {
  const events = [];
  let told = () => {};
  emitter.on(name, (context) => {
    events.push(context);
    told();
  });
  events.take = (n) =>
    within(SOON, `${n} events '${name}'`, (async () => {
      while (events.length < n) await new Promise((resolve) => (told = resolve));
      return events.slice(0, n);
    })());
  return events;
}

/** Subscribes, connecting first where needed (both then leave in one frame), and waits for the answer. */
export async function subscribed(centrifuge, channel, options) {
  const subscription = centrifuge.newSubscription(channel, options);
  subscription.on('error', () => {});
  const publications = collect(subscription, 'publication');
  const answer = event(subscription, 'subscribed');
  subscription.subscribe();
  centrifuge.connect();
  return Object.assign(subscription, { answer: await answer, publications });
}

/** Subscribes in vain, connecting first where needed; the code that it was refused with. */
export async function refused(centrifuge, channel, options) {
  const subscription = centrifuge.newSubscription(channel, options);
  subscription.on('error', () => {});
  const end = event(subscription, 'unsubscribed');
  subscription.subscribe();
  centrifuge.connect();
  const { code } = await end;
  centrifuge.removeSubscription(subscription);
  return code;
}

/** A `websocket` for a client, and all that came through it: every frame as bytes. */
export function recorder() {
  const frames = [];
  class Recorded extends WebSocket {
    constructor(...given) {
      super(...given);
      this.on('message', (frame) => frames.push(Buffer.from(frame)));
    }
  }
  const bytes = () => frames.reduce((sum, frame) => sum + frame.length, 0);
  return { websocket: Recorded, frames, bytes };
}

/** Connects and waits for the answer. */
export async function connected(centrifuge) {
  const answer = event(centrifuge, 'connected');
  centrifuge.connect();
  return answer;
}

/** A client of the SDK that is a person of the chat: by the cookie, from the server's own page. */
export function clientOf(t, person, url = person.server.websocketUrl, options = {}) {
  const origin = url.replace(/^ws/, 'http').replace('/connection/websocket', '');
  class WithCookie extends WebSocket {
    constructor(address, protocols) {
      super(address, protocols, { headers: { cookie: person.cookie, origin } });
    }
  }
  return client(t, url, { websocket: WithCookie, ...options });
}
