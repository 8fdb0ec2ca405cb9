// Channels that go by a number (flag 1), which the stock SDK always asks for: what it then sends and gets on the wire.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { api } from '../../harness/http.mjs';
import { Proxy } from '../../harness/proxy.mjs';
import { IN_PROTOBUF, client, collect, connected, event, recorder, subscribed } from '../../harness/sdk.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';
import { until } from '../../harness/wait.mjs';

let server;
before(async () => {
  server = await Server.start({ env: SECRETS, config: '[channels]\n[namespaces.long]\ncompaction = true\njoin_leave = "always"\n' });
});
after(() => server.kill());

const data = (publications) => publications.map((publication) => publication.data);
const as = (t, user = 'ana', options = {}, url = server.websocketUrl) => client(t, url, { token: tokenFor(user), ...options });
const publish = async (channel, value) => {
  const { json } = await api(server, 'publish', { channel, data: value });
  assert.ok(json.result, JSON.stringify(json));
};
const NAME = 'long:name-of-a-channel-that-is-long';

test('publications, joins and leaves come without the name, in JSON, and reach their own subscription', async (t) => {
  const { websocket, frames } = recorder();
  const ana = as(t, 'ana', { websocket });
  const [one, other, plain] = [await subscribed(ana, NAME), await subscribed(ana, `${NAME}-2`), await subscribed(ana, 'plain')];
  const [joins, leaves] = ['join', 'leave'].map((name) => collect(one, name));
  const from = frames.length;
  const bea = as(t, 'bea');
  await subscribed(bea, NAME);
  await until('Bea comes', () => joins.some(({ info }) => info.user === 'bea'));
  for (const n of [1, 2, 3]) {
    await publish(NAME, `one ${n}`);
    await publish(`${NAME}-2`, `other ${n}`);
    await publish('plain', `plain ${n}`);
  }
  bea.disconnect();
  await until('Bea goes', () => leaves.some(({ info }) => info.user === 'bea'));
  assert.deepEqual(data(await one.publications.take(3)), ['one 1', 'one 2', 'one 3']);
  assert.deepEqual(data(await other.publications.take(3)), ['other 1', 'other 2', 'other 3']);
  assert.deepEqual(data(await plain.publications.take(3)), ['plain 1', 'plain 2', 'plain 3']);
  const named = frames.slice(from).filter((frame) => frame.includes(NAME));
  // In protobuf the SDK compares numbers of channels by identity, and would know none of them.
  assert.equal(named.length > 0, IN_PROTOBUF, named.join('\n'));
  assert.ok([...one.publications, ...joins, ...leaves].every(({ channel }) => channel === NAME));
});

test('after unsubscribe, subscribe and a cut the number is still that of the channel', async (t) => {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const ana = as(t, 'ana', {}, proxy.websocketUrl);
  const [one, other] = [await subscribed(ana, 'long:1', { recoverable: true }), await subscribed(ana, 'long:2', { recoverable: true })];
  await publish('long:1', 1);
  await one.publications.take(1);
  one.unsubscribe();
  await publish('long:1', 'meanwhile');
  await publish('long:2', 1);
  await other.publications.take(1);
  const answer = event(one, 'subscribed');
  one.subscribe();
  await answer;
  await publish('long:1', 2);
  await until('it hears again', () => data(one.publications).includes(2));
  const again = [event(one, 'subscribed'), event(other, 'subscribed')];
  proxy.cut();
  await publish('long:2', 2);
  proxy.restore();
  assert.ok((await Promise.all(again)).every(({ recovered }) => recovered));
  await publish('long:2', 3);
  assert.deepEqual(data(await other.publications.take(3)), [1, 2, 3]);
  await publish('long:1', 3);
  await until('it hears after the cut', () => data(one.publications).includes(3));
});

test('a channel that the server subscribes goes by its name, which is all that the SDK knows there', async (t) => {
  const ana = client(t, server.websocketUrl, { token: tokenFor('ana', { channels: ['long:given'] }) });
  const [publications, joins] = ['publication', 'join'].map((name) => collect(ana, name));
  await connected(ana);
  const chosen = await subscribed(ana, 'long:chosen');
  await publish('long:given', 'given');
  await publish('long:chosen', 'chosen');
  const [publication] = await publications.take(1);
  assert.deepEqual([publication.channel, publication.data], ['long:given', 'given']);
  assert.deepEqual(data(await chosen.publications.take(1)), ['chosen']);
  await until('joins are heard where the server subscribed', async () => {
    await subscribed(as(t, 'bea'), 'long:given').catch(() => {});
    return joins.some(({ channel, info }) => channel === 'long:given' && info.user === 'bea');
  });
});

test('an end that the server tells (2501) comes by name, and the subscription begins anew', async (t) => {
  const token = (ttl) => tokenFor('ana', { channel: 'long:ends', ttl });
  let asked = 0;
  const one = await subscribed(as(t), 'long:ends', { getToken: async () => token([1, -60][asked++] ?? 3600), minResubscribeDelay: 20, maxResubscribeDelay: 100 });
  const again = collect(one, 'subscribed');
  await again.take(1);
  await publish('long:ends', 'after');
  assert.deepEqual(data(await one.publications.take(1)), ['after']);
});
