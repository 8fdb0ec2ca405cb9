// The stock JavaScript SDK, with reconnects fast enough for a test and events that can be waited for.

import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

import { within } from './wait.mjs';

const SOON = 10_000;

/** A client of the SDK; closed when the test ends. */
export function client(t, url, options = {}) {
  const made = new Centrifuge(url, { websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 200, ...options });
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
