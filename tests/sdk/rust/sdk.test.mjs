// The crate `tokio-centrifuge`, unmodified, against the real server. It connects, subscribes, publishes and calls; it has no
// recovery, history, presence, refresh nor server-side subscriptions, and tells no codes of disconnection.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { api } from '../../harness/http.mjs';
import { Proxy } from '../../harness/proxy.mjs';
import { client, collect, connected, event, refused, subscribed } from '../../harness/sdk.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';
import { until } from '../../harness/wait.mjs';

const CONFIG = `
ping_interval = 1
pong_timeout = 1

[channels]

[namespaces.news]
publish = []

[namespaces.chat]
user_limited = true
publish = ["subscriber"]

[namespaces.full]
recovery_mode = "cache"
auto_cache_recovery = true
delta = "always"
tags_filter = true
compaction = true
join_leave = "always"
positioning = "always"

[namespaces.few]
channels_per_connection_max = 1
publish_per_second = 1
publish_burst = 1
publication_bytes_max = 100
`;

let server;
before(async () => (server = await Server.start({ env: SECRETS, config: CONFIG })));
after(() => server.kill());

const data = (publications) => publications.map((publication) => publication.data);
const as = (t, user = 'ana', options = {}, url = server.websocketUrl) => client(t, url, { token: tokenFor(user), ...options });
const publish = async (channel, value, more = {}) => {
  const { json } = await api(server, 'publish', { channel, data: value, ...more });
  assert.ok(json.result, JSON.stringify(json));
};

test('it connects, subscribes, publishes and receives, in order and whole', async (t) => {
  const ana = as(t, 'ana', { name: 'a service', version: '1.2.3' });
  const { client: id } = await connected(ana);
  assert.match(id, /^[0-9a-f-]{36}$/);
  const news = await subscribed(ana, 'lobby');
  const sent = { hello: 'wörld 🐦 мир 世界', 'line\nbreak': [1, 2.5, null, true] };
  await news.publish(sent);
  await ana.publish('lobby', 'by the client');
  await publish('lobby', 'by a backend', { tags: { ticker: 'BTC' } });
  const [first, second, third] = await news.publications.take(3);
  assert.deepEqual([first.data, first.offset, first.info.user, first.info.client], [sent, 1, 'ana', id]);
  assert.equal(second.data, 'by the client');
  assert.deepEqual([third.data, third.info ?? undefined, third.tags], ['by a backend', undefined, { ticker: 'BTC' }]);
});

test('a hundred publications each way', async (t) => {
  const [ana, bea] = [await subscribed(as(t), 'busy'), await subscribed(as(t, 'bea'), 'busy')];
  await Promise.all([ana, bea].flatMap((one, sender) => Array.from({ length: 100 }, (_, n) => one.publish({ sender, n }))));
  assert.deepEqual(data(await bea.publications.take(200)), data(await ana.publications.take(200)));
});

test('a channel with everything on serves it too, whole and by its name', async (t) => {
  await publish('full:it', 'before');
  const full = await subscribed(as(t), 'full:it');
  const there = await subscribed(as(t, 'bea'), 'full:it');
  await publish('full:it', 'Здравствуй '.repeat(20));
  await publish('full:it', 'Здравствуй! '.repeat(20));
  // What comes with the answer to the subscribe, the crate drops.
  assert.deepEqual(data(await full.publications.take(2)), ['Здравствуй '.repeat(20), 'Здравствуй! '.repeat(20)]);
  await there.unsubscribe();
});

test('what is refused is told with its code', async (t) => {
  const ana = as(t);
  await connected(ana);
  for (const [channel, code] of [['unknown:it', 102], ['$private', 103], ['chat:1#bea,cho', 103], ['room:x', 103], ['ä', 107]]) {
    assert.equal(await refused(ana, channel), code, channel);
  }
  await subscribed(ana, 'few:1');
  assert.equal(await refused(ana, 'few:2'), 106);
  await assert.rejects(ana.publish('news:it', 1), { code: 103 });
  await assert.rejects(ana.publish('unknown:it', 1), { code: 102 });
  await assert.rejects(ana.publish('few:1', 'x'.repeat(200)), { code: 107 });
  await assert.rejects(ana.rpc('no-such-method', {}), { code: 108 });
});

test('publishing too often is 111', async (t) => {
  const few = await subscribed(as(t), 'few:rate');
  const outcomes = await Promise.allSettled([1, 2, 3].map((n) => few.publish(n)));
  assert.deepEqual(outcomes.map(({ reason }) => reason?.code).sort(), [111, 111, undefined]);
});

test('it leaves a channel and comes again', async (t) => {
  const ana = as(t);
  const lobby = await subscribed(ana, 'leaves');
  await lobby.unsubscribe();
  // Told again before it has said so to the server, the crate says nothing at all.
  await until('it has left', async () => (await api(server, 'presence_stats', { channel: 'leaves' })).json.result.num_clients === 0);
  const answer = event(lobby, 'subscribed');
  lobby.subscribe();
  await answer;
  await publish('leaves', 'again');
  assert.deepEqual(data(await lobby.publications.take(1)), ['again']);
});

test('it answers pings and stays', async (t) => {
  const ana = as(t);
  const lost = collect(ana, 'connecting');
  const pings = await subscribed(ana, 'pings');
  // Nothing else passes for three pings and their answers.
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  await publish('pings', 'still');
  assert.deepEqual(data(await pings.publications.take(1)), ['still']);
  assert.equal(lost.length, 1);
});

test('after a cut and after a restart it connects again by itself', async (t) => {
  const own = await Server.start({ env: SECRETS });
  t.after(() => own.kill());
  const proxy = await Proxy.to(own.port);
  t.after(() => proxy.close());
  const ana = as(t, 'ana', {}, proxy.websocketUrl);
  await connected(ana);
  for (const interruption of [async () => proxy.drop(), () => own.restart()]) {
    const back = event(ana, 'connected');
    await interruption();
    await back;
  }
  await ana.publish('anywhere', 1);
});

test('a token that may not, and none, is the end', async (t) => {
  const all = ['nonsense', '', tokenFor('')].map((token) => as(t, 'ana', { token }));
  const tries = all.map((ana) => collect(ana, 'connecting'));
  const made = all.map((ana) => collect(ana, 'connected'));
  for (const ana of all) ana.connect();
  // Longer than it would wait before the next try; of an end in its first try the crate says nothing.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assert.deepEqual([tries, made].map((of) => of.map((one) => one.length)), [[1, 1, 1], [0, 0, 0]]);
});
