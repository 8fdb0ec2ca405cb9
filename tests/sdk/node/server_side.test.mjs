// What a backend does by the server API, as the stock SDK's clients live through it: subscriptions that come and go, ends,
// refreshes, and publications of every kind.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';

import { api } from '../../harness/http.mjs';
import { Proxy } from '../../harness/proxy.mjs';
import { client, collect, connected, event, lacks, recorder, subscribed } from '../../harness/sdk.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';
import { until } from '../../harness/wait.mjs';

const CONFIG = `
[channels]
[namespaces.asked]
delta = "on_request"
[namespaces.closed]
subscribe = []
publish = []
`;

let server;
before(async () => (server = await Server.start({ env: SECRETS, config: CONFIG })));
after(() => server.kill());

const data = (publications) => publications.map((publication) => publication.data);
const as = (t, user = 'ana', options = {}, url = server.websocketUrl) => client(t, url, { token: tokenFor(user), ...options });
const call = async (method, params) => {
  const { json } = await api(server, method, params);
  assert.ok(json.result, JSON.stringify(json));
  return json.result;
};
const heard = (made) => Object.fromEntries(['subscribed', 'unsubscribed', 'publication', 'join', 'leave'].map((name) => [name, collect(made, name)]));

suite('a subscription that the backend makes', () => {
  test('is told with its data, its channel is heard, and its end is told', async (t) => {
    const ana = as(t, 'ann');
    const seen = heard(ana);
    await connected(ana);
    await call('subscribe', { user: 'ann', channel: 'closed:made', info: { seat: 7 }, data: { hello: 'Ana' } });
    const [begun] = await seen.subscribed.take(1);
    assert.deepEqual([begun.channel, begun.data, begun.recoverable, begun.positioned], ['closed:made', { hello: 'Ana' }, true, true]);
    await call('publish', { channel: 'closed:made', data: 1 });
    const [publication] = await seen.publication.take(1);
    assert.deepEqual([publication.channel, publication.data, publication.offset], ['closed:made', 1, 1]);
    const { presence } = await call('presence', { channel: 'closed:made' });
    assert.deepEqual(Object.values(presence).map(({ chan_info: info }) => info), [{ seat: 7 }]);
    await call('unsubscribe', { user: 'ann', channel: 'closed:made' });
    assert.equal((await seen.unsubscribed.take(1))[0].channel, 'closed:made');
    await call('publish', { channel: 'closed:made', data: 2 });
    await call('publish', { channel: 'closed:made', data: 3 });
    assert.deepEqual(data(seen.publication), [1]);
  });

  test('of one connection leaves the others alone', async (t) => {
    const [one, other] = [as(t, 'two'), as(t, 'two')];
    const { client: id } = await connected(one);
    await connected(other);
    const [seen, others] = [heard(one), heard(other)];
    await call('subscribe', { user: 'two', channel: 'one-of-two', client: id });
    await seen.subscribed.take(1);
    await call('publish', { channel: 'one-of-two', data: 1 });
    await seen.publication.take(1);
    assert.equal(others.subscribed.length, 0);
  });

  test('recovers from a position, hears who comes where it is told to, and is gone after a cut', async (t) => {
    const proxy = await Proxy.to(server.port);
    t.after(() => proxy.close());
    const { epoch } = await call('publish', { channel: 'since', data: 1 });
    await call('publish', { channel: 'since', data: 2 });
    const ana = as(t, 'sue', {}, proxy.websocketUrl);
    const seen = heard(ana);
    await connected(ana);
    await call('subscribe', { user: 'sue', channel: 'since', recover_since: { offset: 1, epoch }, override: { force_push_join_leave: { value: true } } });
    await seen.subscribed.take(1);
    assert.deepEqual(data(await seen.publication.take(1)), [2]);
    const bea = as(t, 'bea');
    await subscribed(bea, 'since');
    await until('Bea comes', () => seen.join.some(({ info }) => info.user === 'bea'));
    bea.disconnect();
    await until('Bea goes', () => seen.leave.some(({ info }) => info.user === 'bea'));
    proxy.drop();
    assert.equal((await seen.unsubscribed.take(1))[0].channel, 'since');
  });
});

suite('what the backend ends', () => {
  test('a subscription that the client made is over (2000)', async (t) => {
    const one = await subscribed(as(t, 'eva'), 'ended');
    const end = event(one, 'unsubscribed');
    await call('unsubscribe', { user: 'eva', channel: 'ended' });
    assert.equal((await end).code, 2000);
  });

  test('a connection is over with 3503, or as it says, and comes back where that says so', async (t) => {
    const ana = as(t, 'ivy');
    await connected(ana);
    const end = event(ana, 'disconnected');
    await call('disconnect', { user: 'ivy' });
    assert.equal((await end).code, 3503);
    const bea = as(t, 'kim');
    await connected(bea);
    const [lost, back] = [event(bea, 'connecting'), event(bea, 'connected')];
    await call('disconnect', { user: 'kim', disconnect: { code: 4100, reason: 'come again' } });
    const { code, reason } = await lost;
    assert.deepEqual([code, reason], [4100, 'come again']);
    await back;
    const over = event(bea, 'disconnected');
    await call('disconnect', { user: 'kim', disconnect: { code: 4600, reason: 'for good' } });
    assert.equal((await over).code, 4600);
  });

  test('a whitelist keeps the one that is meant to stay', async (t) => {
    const [stays, goes] = [as(t, 'lea'), as(t, 'lea')];
    const { client: id } = await connected(stays);
    await connected(goes);
    const end = event(goes, 'disconnected');
    await call('disconnect', { user: 'lea', whitelist: [id] });
    await end;
    assert.equal(stays.state, 'connected');
  });

  test('a connection that is said to have expired comes back with a fresh token (3005)', async (t) => {
    let asked = 0;
    const getToken = async () => tokenFor('moe', { iat: (asked += 1) });
    const moe = client(t, server.websocketUrl, { getToken });
    await connected(moe);
    const [lost, back] = [event(moe, 'connecting'), event(moe, 'connected')];
    await call('refresh', { user: 'moe', expired: true });
    assert.equal((await lost).code, 3005);
    await back;
  });

  test('a blocked user is closed for good, and let in again later', async (t) => {
    const ned = as(t, 'ned');
    await connected(ned);
    const end = event(ned, 'disconnected');
    await call('block', { user: 'ned' });
    assert.ok((await end).code >= 3500);
    const again = as(t, 'ned');
    const refusal = event(again, 'disconnected');
    again.connect();
    assert.ok((await refusal).code >= 3500);
    await call('unblock', { user: 'ned' });
    await connected(as(t, 'ned'));
  });
});

suite('what the backend publishes', () => {
  test('as a difference where it says so, to those who want that', { skip: lacks('delta') }, async (t) => {
    const { websocket, bytes } = recorder();
    const one = await subscribed(as(t, 'ana', { websocket }), 'asked:it', { delta: 'fossil' });
    const texts = Array.from({ length: 12 }, (_, n) => `${'Здравствуй, мир! '.repeat(100)}${n}`);
    for (const [n, text] of texts.entries()) await call('publish', { channel: 'asked:it', data: text, delta: n % 4 !== 3 });
    assert.deepEqual(data(await one.publications.take(12)), texts);
    const whole = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    assert.ok(bytes() < whole, `${bytes()} of ${whole} bytes`);
  });

  test('into many at once, with tags, and once for each idempotency key and version', async (t) => {
    const ana = as(t);
    const [one, other] = [await subscribed(ana, 'many-1'), await subscribed(ana, 'many-2')];
    await call('broadcast', { channels: ['many-1', 'many-2'], data: 'to both', tags: { kind: 'news' } });
    for (const subscription of [one, other]) {
      const [publication] = await subscription.publications.take(1);
      assert.deepEqual([publication.data, publication.tags], ['to both', { kind: 'news' }]);
    }
    for (const key of ['a', 'a', 'b']) await call('publish', { channel: 'many-1', data: key, idempotency_key: key });
    for (const version of [2, 1, 3]) await call('publish', { channel: 'many-2', data: version, version });
    assert.deepEqual(data(await one.publications.take(3)), ['to both', 'a', 'b']);
    assert.deepEqual(data(await other.publications.take(3)), ['to both', 2, 3]);
  });

  test('and what is removed from the history is recovered by nobody, who is told so', async (t) => {
    const proxy = await Proxy.to(server.port);
    t.after(() => proxy.close());
    const one = await subscribed(as(t, 'ana', {}, proxy.websocketUrl), 'removed', { recoverable: true });
    await call('publish', { channel: 'removed', data: 1 });
    await one.publications.take(1);
    const again = event(one, 'subscribing').then(() => event(one, 'subscribed'));
    proxy.cut();
    await call('publish', { channel: 'removed', data: 2 });
    await call('history_remove', { channel: 'removed' });
    proxy.restore();
    const answer = await again;
    assert.deepEqual([answer.wasRecovering, answer.recovered], [true, false]);
    await call('publish', { channel: 'removed', data: 3 });
    assert.deepEqual(data(await one.publications.take(2)), [1, 3]);
  });
});
