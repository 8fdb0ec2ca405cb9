// From connect to the end with the stock SDK: what it sends along, how it comes back, what ends it.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';

import { Centrifuge } from 'centrifuge';
import { Centrifuge as OverProtobuf } from 'centrifuge/build/protobuf';
import WebSocket from 'ws';

import { api } from '../../harness/http.mjs';
import { Proxy } from '../../harness/proxy.mjs';
import { AFTER_109, IN_PROTOBUF, SILENCE, UnauthorizedError, client, collect, connected, event, lacks, refused, subscribed, toBytes } from '../../harness/sdk.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';
import { until } from '../../harness/wait.mjs';

const CONFIG = `
ping_interval = 1
pong_timeout = 1
[channels]
[namespaces.raw]
publication_format = "any"
`;

let server;
before(async () => (server = await Server.start({ env: SECRETS, config: CONFIG })));
after(() => server.kill());

const data = (publications) => publications.map((publication) => publication.data);
const as = (t, user = 'ana', options = {}, url = server.websocketUrl) => client(t, url, { token: tokenFor(user), ...options });
const publish = async (channel, value) => {
  const { json } = await api(server, 'publish', { channel, data: value });
  assert.ok(json.result, JSON.stringify(json));
};
async function ends(made) {
  const end = event(made, 'disconnected');
  made.connect();
  return (await end).code;
}

suite('what is sent along', () => {
  test('name, version, headers and data are taken, and data is asked for at every connect and subscribe', { skip: lacks('getData') }, async (t) => {
    const proxy = await Proxy.to(server.port);
    t.after(() => proxy.close());
    const [asked, askedOf] = [[], []];
    const encoded = (value) => (IN_PROTOBUF ? toBytes(value) : value);
    const ana = as(t, 'ana', {
      name: 'a page',
      version: '1.2.3',
      headers: { 'x-tenant': 'one' },
      data: { first: true },
      getData: async () => encoded({ time: asked.push(1) }),
    }, proxy.websocketUrl);
    const one = await subscribed(ana, 'along', { data: { from: 'options' }, getData: async ({ channel }) => encoded({ n: askedOf.push(channel) }), recoverable: true });
    assert.deepEqual([asked.length, askedOf], [1, ['along']]);
    const again = event(one, 'subscribing').then(() => event(one, 'subscribed'));
    proxy.drop();
    await again;
    assert.deepEqual([asked.length, askedOf], [2, ['along', 'along']]);
    ana.setData({ later: true });
    ana.setHeaders({ 'x-tenant': 'two' });
    one.setData({ later: true });
    await publish('along', 1);
    assert.deepEqual(data(await one.publications.take(1)), [1]);
  });

  test('many subscriptions leave with the connect in one frame, and each is answered', { skip: lacks('batching') }, async (t) => {
    const ana = as(t);
    const all = Array.from({ length: 100 }, (_, n) => ana.newSubscription(`batch-${n}`, { recoverable: true }));
    const answers = Promise.all(all.map((one) => event(one, 'subscribed')));
    for (const one of all) one.subscribe();
    ana.connect();
    assert.equal((await answers).length, 100);
    ana.startBatching();
    const published = all.map((one, n) => one.publish(n));
    ana.stopBatching();
    await Promise.all(published);
  });
});

suite('coming back', () => {
  test('a server that is shut down says 3001, and whoever was connected comes back to its successor', async (t) => {
    const own = await Server.start({ env: SECRETS });
    t.after(() => own.kill());
    const ana = as(t, 'ana', {}, own.websocketUrl);
    const lost = collect(ana, 'connecting');
    const one = await subscribed(ana, 'shutdown');
    const again = event(one, 'subscribing').then(() => event(one, 'subscribed'));
    assert.equal(await own.stop(), 0);
    await own.start();
    await again;
    assert.equal(lost[1].code, 3001);
  });

  test('a line that has gone silent is noticed by the missing ping', { skip: lacks(SILENCE) }, async (t) => {
    const proxy = await Proxy.to(server.port);
    t.after(() => proxy.close());
    const ana = as(t, 'ana', { maxServerPingDelay: 300 }, proxy.websocketUrl);
    await connected(ana);
    const lost = event(ana, 'connecting');
    const back = event(ana, 'connected');
    proxy.abandon();
    assert.equal((await lost).code, 2);
    await back;
  });

  test('an SDK that answers pings stays, for several of them', async (t) => {
    const ana = as(t);
    const lost = collect(ana, 'connecting');
    const one = await subscribed(ana, 'pings');
    // Nothing else passes for three pings and their answers.
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    await publish('pings', 'still');
    assert.deepEqual(data(await one.publications.take(1)), ['still']);
    assert.equal(lost.length, 1);
  });

  test('channels that the token names are recovered after a cut, and say what the token says of them', async (t) => {
    const proxy = await Proxy.to(server.port);
    t.after(() => proxy.close());
    const subs = { given: { data: { hello: 'Ana' }, info: { seat: 7 }, join_leave: true } };
    const ana = client(t, proxy.websocketUrl, { token: tokenFor('ana', { subs }) });
    const [begun, publications, joins, leaves] = ['subscribed', 'publication', 'join', 'leave'].map((name) => collect(ana, name));
    await connected(ana);
    const [first] = await begun.take(1);
    assert.deepEqual([first.channel, first.data, first.recoverable, first.positioned], ['given', { hello: 'Ana' }, true, true]);
    const bea = as(t, 'bea');
    const there = await subscribed(bea, 'given');
    await until('Bea joins', () => joins.some(({ info }) => info.user === 'bea'));
    there.unsubscribe();
    await until('Bea leaves', () => leaves.some(({ info }) => info.user === 'bea'));
    await publish('given', 1);
    await publications.take(1);
    const lost = event(ana, 'subscribing');
    proxy.cut();
    for (const n of [2, 3]) await publish('given', n);
    assert.equal((await lost).channel, 'given');
    proxy.restore();
    const [, again] = await begun.take(2);
    assert.deepEqual([again.wasRecovering, again.recovered], [true, true]);
    await publish('given', 4);
    assert.deepEqual(data(await publications.take(4)), [1, 2, 3, 4]);
    assert.deepEqual(Object.values((await ana.presence('given')).clients).map(({ chanInfo }) => chanInfo), [{ seat: 7 }]);
  });

  test('what the server subscribes it can subscribe to no more: 105', async (t) => {
    const ana = client(t, server.websocketUrl, { token: tokenFor('ana', { channels: ['twice'] }) });
    await connected(ana);
    assert.equal(await refused(ana, 'twice'), 105);
  });
});

suite('what ends it', () => {
  test('a token that may not: 3500; none: 3501; one without a user: 3507', async (t) => {
    assert.equal(await ends(client(t, server.websocketUrl, { token: 'nonsense' })), 3500);
    assert.equal(await ends(client(t, server.websocketUrl, {})), 3501);
    assert.equal(await ends(client(t, server.websocketUrl, { token: tokenFor('') })), 3507);
  });

  test('more channels in a token than a connection may have: 3505', async (t) => {
    const channels = Array.from({ length: 129 }, (_, n) => `many-${n}`);
    assert.equal(await ends(client(t, server.websocketUrl, { token: tokenFor('ana', { channels }) })), 3505);
  });

  test('a message that nobody handles: 3508', async (t) => {
    const ana = as(t);
    await connected(ana);
    const end = event(ana, 'disconnected');
    await ana.send({ hello: 1 });
    assert.equal((await end).code, 3508);
  });

  test('a message that is too large: 1009, which the SDK calls 3, and after which some come back', async (t) => {
    const ana = as(t);
    await connected(ana);
    const end = Promise.race(['disconnected', 'connecting'].map((name) => event(ana, name)));
    ana.publish('large', 'x'.repeat(70_000)).catch(() => {});
    assert.equal((await end).code, 3);
  });

  test('bytes that are no JSON, for whom JSON is spoken: 3506', async (t) => {
    const author = new OverProtobuf(server.websocketUrl, { token: tokenFor('bea'), websocket: WebSocket });
    const reader = new Centrifuge(server.websocketUrl, { token: tokenFor('ana'), websocket: WebSocket });
    t.after(() => [author, reader].forEach((one) => one.disconnect()));
    const end = event(reader, 'disconnected');
    await subscribed(reader, 'raw:bytes');
    const bytes = await subscribed(author, 'raw:bytes');
    await bytes.publish(new Uint8Array([0, 255, 10]));
    assert.deepEqual([...(await bytes.publications.take(1))[0].data], [0, 255, 10]);
    assert.equal((await end).code, 3506);
    await assert.rejects(author.publish('lobby', new Uint8Array([0, 255])), { code: 107 });
  });

  test('getToken that finds nobody to be anybody is the end, for the connection and for a subscription', async (t) => {
    const nobody = async () => {
      throw new UnauthorizedError('');
    };
    assert.equal(await ends(client(t, server.websocketUrl, { getToken: nobody })), 1);
    const ana = as(t);
    await connected(ana);
    assert.equal(await refused(ana, '$private', { getToken: nobody }), 1);
    assert.equal(await refused(ana, '$private', { getToken: async () => '' }), 1);
  });
});

suite('subscription tokens', () => {
  const of = (channel, ttl = 3600, more = {}) => tokenFor('ana', { channel, ttl, ...more });

  test('one that has expired is 109, and the SDK subscribes with a fresh one', { skip: lacks(AFTER_109) }, async (t) => {
    const tokens = [of('$late', -60)];
    let asked = 0;
    const getToken = async () => {
      asked += 1;
      return tokens.shift() ?? of('$late');
    };
    const ana = as(t);
    const made = ana.newSubscription('$late', { getToken, minResubscribeDelay: 10, maxResubscribeDelay: 50 });
    const errors = collect(made, 'error');
    const answer = event(made, 'subscribed');
    made.subscribe();
    ana.connect();
    await answer;
    assert.deepEqual([asked, errors.map(({ error }) => error.code)], [2, [109]]);
  });

  test('one that runs out is refreshed in place, and nothing is missed', async (t) => {
    let asked = 0;
    const one = await subscribed(as(t), '$soon', { getToken: async () => of('$soon', [2][asked++] ?? 3600) });
    const left = collect(one, 'subscribing');
    await publish('$soon', 1);
    await until('the second one is asked for', () => asked === 2);
    await publish('$soon', 2);
    assert.deepEqual(data(await one.publications.take(2)), [1, 2]);
    assert.equal(left.length, 0);
  });

  test('one of another user or channel closes the connection for good, one that is none is 103', async (t) => {
    const ana = as(t);
    await connected(ana);
    assert.equal(await refused(ana, '$none', { token: 'nonsense' }), 103);
    for (const token of [tokenFor('bea', { channel: '$mine' }), of('$other')]) {
      const again = as(t);
      const end = event(again, 'disconnected');
      again.newSubscription('$mine', { token }).subscribe();
      again.connect();
      assert.equal((await end).code, 3500);
    }
  });
});
