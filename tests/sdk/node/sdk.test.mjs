// The npm package `centrifuge`, unmodified, against the real server: what an application's developer relies on.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { api } from '../../harness/http.mjs';
import { Proxy } from '../../harness/proxy.mjs';
import { IN_ORDER, client, collect, connected, event, lacks, subscribed } from '../../harness/sdk.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';
import { until } from '../../harness/wait.mjs';

let server;
before(async () => (server = await Server.start({ env: SECRETS })));
after(() => server.kill());

const data = (publications) => publications.map((publication) => publication.data);
const publish = async (channel, value) => {
  const { status, json } = await api(server, 'publish', { channel, data: value });
  assert.equal(status, 200);
  return json.result;
};

test('a developer connects with a token of `tidings token`, subscribes, publishes and receives (4.1, 4.17)', async (t) => {
  const ana = client(t, server.websocketUrl, { token: await server.token('ana') });
  const answer = await connected(ana);
  assert.match(answer.client, /^[0-9a-f-]{36}$/);
  const news = await subscribed(ana, 'news');
  const sent = { hello: 'wörld 🐦', 'line\nbreak': [1, 2.5, null, true] };
  await news.publish(sent);
  const [publication] = await news.publications.take(1);
  assert.deepEqual(publication.data, sent);
  assert.equal(publication.info.user, 'ana');
  assert.equal(publication.offset, 1);
});

test('a publication reaches every subscriber, its sender included, in one order (4.14)', async (t) => {
  const all = await Promise.all(['ana', 'ben', 'cho'].map((name) => subscribed(client(t, server.websocketUrl, { token: tokenFor(name) }), 'all')));
  await Promise.all(all.flatMap((one, sender) => [0, 1, 2, 3, 4].map((n) => one.publish({ sender, n }))));
  const received = await Promise.all(all.map((one) => one.publications.take(15)));
  assert.deepEqual(data(received[1]), data(received[0]));
  assert.deepEqual(data(received[2]), data(received[0]));
  assert.deepEqual(received[0].map((publication) => publication.offset), Array.from({ length: 15 }, (_, i) => i + 1));
});

test('both directions of one connection are busy at the same time without a deadlock (4.2)', async (t) => {
  const ana = client(t, server.websocketUrl, { token: tokenFor('ana'), timeout: 20_000 });
  const busy = await subscribed(ana, 'busy');
  const filler = 'x'.repeat(4_000);
  const sent = Array.from({ length: 500 }, (_, n) => busy.publish({ n, filler }));
  await Promise.all(sent);
  const received = await busy.publications.take(500);
  const numbers = received.map((publication) => publication.data.n);
  assert.deepEqual(IN_ORDER ? numbers : numbers.sort((a, b) => a - b), Array.from({ length: 500 }, (_, n) => n));
});

test('presence, presence statistics, joins and leaves tell who is here', async (t) => {
  const ana = client(t, server.websocketUrl, { token: tokenFor('ana', { info: { name: 'Ana' } }) });
  const lobby = await subscribed(ana, 'lobby', { joinLeave: true });
  const joins = collect(lobby, 'join');
  const leaves = collect(lobby, 'leave');
  const ben = client(t, server.websocketUrl, { token: tokenFor('ben', { info: { name: 'Ben' } }) });
  await subscribed(ben, 'lobby');
  const join = await until('Ben joins', () => joins.find((one) => one.info.user === 'ben'));
  assert.deepEqual(join.info.connInfo, { name: 'Ben' });
  const { clients } = await lobby.presence();
  assert.deepEqual(Object.values(clients).map((one) => one.user).sort(), ['ana', 'ben']);
  assert.deepEqual(await lobby.presenceStats(), { numClients: 2, numUsers: 2 });
  ben.disconnect();
  const [leave] = await leaves.take(1);
  assert.equal(leave.info.user, 'ben');
  assert.deepEqual(await lobby.presenceStats(), { numClients: 1, numUsers: 1 });
});

test('history is read in pages, forwards and backwards, and a foreign epoch is refused (4.26)', async (t) => {
  const ana = client(t, server.websocketUrl, { token: tokenFor('ana') });
  const log = await subscribed(ana, 'log');
  for (let n = 1; n <= 10; n += 1) await publish('log', n);
  await log.publications.take(10);

  const top = await log.history({ limit: 0 });
  assert.equal(top.offset, 10);
  assert.deepEqual(top.publications, []);

  const forwards = [];
  let since = { offset: 0, epoch: top.epoch };
  for (;;) {
    const page = await log.history({ limit: 4, since });
    if (page.publications.length === 0) break;
    assert.ok(page.publications.length <= 4);
    forwards.push(...data(page.publications));
    since = { offset: page.publications.at(-1).offset, epoch: page.epoch };
  }
  assert.deepEqual(forwards, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);

  const newest = await log.history({ limit: 3, reverse: true });
  assert.deepEqual(data(newest.publications), [10, 9, 8]);
  const before = await log.history({ limit: 3, reverse: true, since: { offset: 8, epoch: top.epoch } });
  assert.deepEqual(data(before.publications), [7, 6, 5]);

  await assert.rejects(log.history({ limit: 3, since: { offset: 1, epoch: 'not-this' } }), { code: 112 });
});

test('after a cut link a client has exactly what it missed, in order, once (4.26, 4.41)', async (t) => {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const ana = client(t, proxy.websocketUrl, { token: tokenFor('ana') });
  const feed = await subscribed(ana, 'feed', { recoverable: true });
  await publish('feed', 'before');
  await feed.publications.take(1);

  const resubscribed = event(feed, 'subscribing').then(() => event(feed, 'subscribed'));
  proxy.cut();
  for (const value of ['one', 'two', 'three']) await publish('feed', value);
  proxy.restore();
  const answer = await resubscribed;
  assert.equal(answer.wasRecovering, true);
  assert.equal(answer.recovered, true);
  await publish('feed', 'after');
  assert.deepEqual(data(await feed.publications.take(5)), ['before', 'one', 'two', 'three', 'after']);
});

test('a client that missed more than the history holds is told so, and loses nothing silently', async (t) => {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const ana = client(t, proxy.websocketUrl, { token: tokenFor('ana') });
  const feed = await subscribed(ana, 'flood', { recoverable: true });
  await publish('flood', 0);
  await feed.publications.take(1);
  const resubscribed = event(feed, 'subscribing').then(() => event(feed, 'subscribed'));
  proxy.cut();
  for (let n = 1; n <= 150; n += 1) await publish('flood', n);
  proxy.restore();
  const answer = await resubscribed;
  assert.equal(answer.recovered, false);
  if (!lacks('positions')) assert.equal(answer.streamPosition.offset, 151);
});

test('an RPC, which nobody handles for an application, is error 108, and a publish to a channel that nobody reads is fine', async (t) => {
  const ana = client(t, server.websocketUrl, { token: tokenFor('ana') });
  await connected(ana);
  await assert.rejects(ana.rpc('no-such-method', {}), { code: 108 });
  await ana.publish('nobody-here', { n: 1 });
});

test('the channels of the chat answer 103 to a developer\'s token', async (t) => {
  const ana = client(t, server.websocketUrl, { token: tokenFor('ana') });
  await connected(ana);
  for (const channel of ['room:01890000-0000-7000-8000-000000000000', 'room:x', 'user:ana', 'user:x']) {
    const subscription = ana.newSubscription(channel);
    const refused = event(subscription, 'unsubscribed');
    subscription.subscribe();
    assert.equal((await refused).code, 103, channel);
    await assert.rejects(ana.publish(channel, {}), { code: 103 }, channel);
    await assert.rejects(ana.history(channel, { limit: 1 }), { code: 103 }, channel);
    await assert.rejects(ana.presence(channel), { code: 103 }, channel);
    await assert.rejects(ana.presenceStats(channel), { code: 103 }, channel);
  }
});

test('an expired token is error 109, and the SDK connects with the fresh one it fetched', async (t) => {
  let asked = 0;
  const ana = client(t, server.websocketUrl, {
    token: tokenFor('ana', { ttl: -5 }),
    getToken: async () => {
      asked += 1;
      return tokenFor('ana');
    },
  });
  const errors = collect(ana, 'error');
  await connected(ana);
  assert.equal(asked, 1);
  assert.ok(errors.some((one) => one.error.code === 109), JSON.stringify(errors));
});

test('a connection whose token runs out is refreshed without a reconnect', async (t) => {
  let asked = 0;
  const ana = client(t, server.websocketUrl, {
    getToken: async () => {
      asked += 1;
      return tokenFor('ana', { ttl: asked === 1 ? 2 : 3600 });
    },
  });
  const first = await connected(ana);
  const lost = collect(ana, 'connecting');
  await until('the second token is fetched', () => asked === 2);
  const still = await subscribed(ana, 'still-here');
  await still.publish(1);
  await still.publications.take(1);
  assert.equal(lost.length, 0);
  assert.match(first.client, /-/);
});

test('an invalid token is close 3500 and no token 3501, both for good', async (t) => {
  for (const [token, code] of [['nonsense', 3500], [tokenFor('ana').replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A')), 3500], ['', 3501]]) {
    const ana = client(t, server.websocketUrl, { token });
    const end = event(ana, 'disconnected');
    ana.connect();
    assert.equal((await end).code, code, token);
  }
});

test('POST /api/publish reaches every subscriber with the position it answered', async (t) => {
  const ana = await subscribed(client(t, server.websocketUrl, { token: tokenFor('ana') }), 'scores');
  const position = await publish('scores', { home: 1, away: 0 });
  const [publication] = await ana.publications.take(1);
  assert.deepEqual(publication.data, { home: 1, away: 0 });
  assert.equal(publication.offset, position.offset);
  assert.equal(publication.info, undefined);
});

test('channels in the token are subscribed by the server', async (t) => {
  const ana = client(t, server.websocketUrl, { token: tokenFor('ana', { channels: ['given'] }) });
  const publications = collect(ana, 'publication');
  const given = event(ana, 'subscribed');
  await connected(ana);
  assert.equal((await given).channel, 'given');
  await publish('given', 'hello');
  const [publication] = await publications.take(1);
  assert.deepEqual([publication.channel, publication.data], ['given', 'hello']);
});

test('after SIGKILL and a restart the SDK connects and subscribes again by itself (4.41)', async (t) => {
  const own = await Server.start({ env: SECRETS });
  t.after(() => own.kill());
  const ana = client(t, own.websocketUrl, { token: tokenFor('ana') });
  const feed = await subscribed(ana, 'feed', { recoverable: true });
  await feed.publish('before');
  const again = event(feed, 'subscribing').then(() => event(feed, 'subscribed'));
  await own.restart();
  // In-memory channels begin anew: the client is told that what it knew is gone.
  assert.equal((await again).recovered, false);
  await feed.publish('after');
  assert.deepEqual(data(await feed.publications.take(2)), ['before', 'after']);
});
