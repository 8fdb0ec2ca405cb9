// The npm package `centrifuge` in a page of another site, in headless Chromium: what an application's page relies on, in
// JSON and in protobuf, over each transport.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { profile } from '../../harness/browser.mjs';
import { api } from '../../harness/http.mjs';
import { Proxy } from '../../harness/proxy.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';
import { until } from '../../harness/wait.mjs';

const FILES = { '/json.mjs': 'index.mjs', '/protobuf.mjs': 'protobuf/index.mjs' };
const BUILD = fileURLToPath(new URL('../../node_modules/centrifuge/build/', import.meta.url));
const CONFIG = `
[channels]
delta = "always"

[namespaces.ticker]
tags_filter = true

[namespaces.long]
compaction = true
join_leave = "always"
`;

let site, server;
before(async () => {
  site = createServer((request, answer) => {
    const file = FILES[request.url];
    answer.setHeader('content-type', file ? 'text/javascript' : 'text/html');
    if (file) createReadStream(BUILD + file).pipe(answer);
    else answer.end('<!doctype html><link rel="icon" href="data:,"><title>A page of another site</title>');
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  site.origin = `http://127.0.0.1:${site.address().port}`;
  server = await Server.start({ env: SECRETS, config: CONFIG, args: ['--allowed-origins', site.origin] });
});
after(async () => {
  site.close();
  await server.kill();
});

const publish = async (channel, data, more) => {
  const { json } = await api(server, 'publish', { channel, data, ...more });
  assert.ok(json.result, JSON.stringify(json));
  return json.result;
};

/** A page in which `subscribe(channel, options)` is there, and everything that happened in `seen`. */
async function pageWith(t, form, transports, base) {
  const page = await profile(t);
  await page.goto(site.origin);
  const tokens = [tokenFor('ana', { ttl: 2 }), tokenFor('ana')];
  await page.exposeBinding('fetchToken', () => tokens.shift() ?? tokenFor('ana'));
  await page.evaluate(async ([module, transports, base]) => {
    const { Centrifuge } = await import(module);
    const isBytes = module.includes('protobuf');
    const coded = (value) => (isBytes ? new TextEncoder().encode(JSON.stringify(value)) : value);
    const read = (data) => (isBytes ? JSON.parse(new TextDecoder().decode(data)) : data);
    const endpoints = transports.map((transport) => ({ transport, endpoint: `${transport === 'websocket' ? base.replace('http', 'ws') : base}/connection/${transport}` }));
    const seen = (globalThis.seen = { connected: [], connecting: [], disconnected: [], subscribed: [], publication: [], join: [], leave: [] });
    const centrifuge = new Centrifuge(endpoints, {
      getToken: () => globalThis.fetchToken(),
      emulationEndpoint: `${base}/emulation`,
      minReconnectDelay: 20,
      maxReconnectDelay: 200,
    });
    for (const name of ['connected', 'connecting', 'disconnected']) centrifuge.on(name, ({ code, transport }) => seen[name].push(transport ?? code));
    globalThis.subscribe = (channel, options) => {
      const subscription = centrifuge.newSubscription(channel, options);
      subscription.on('subscribed', ({ recovered }) => seen.subscribed.push({ channel, recovered }));
      subscription.on('publication', ({ data }) => seen.publication.push([channel, read(data)]));
      for (const name of ['join', 'leave']) subscription.on(name, ({ info }) => seen[name].push([channel, info.user]));
      subscription.subscribe();
      centrifuge.connect();
      return subscription.ready();
    };
    globalThis.publish = (channel, data) => centrifuge.publish(channel, coded(data));
    globalThis.ask = async (channel) => ({
      history: (await centrifuge.history(channel, { limit: 100 })).publications.map(({ data }) => read(data)),
      here: Object.values((await centrifuge.presence(channel)).clients).map(({ user }) => user),
      count: (await centrifuge.presenceStats(channel)).numClients,
    });
  }, [`/${form}.mjs`, transports, base]);
  page.sees = (name, check) => until(`${name} in the page`, async () => check(await page.evaluate((name) => globalThis.seen[name], name)));
  return page;
}

for (const form of ['json', 'protobuf']) {
  test(`in ${form} a page lives through its day: differences, filters, numbers, a token that runs out, a cut`, async (t) => {
    const proxy = await Proxy.to(server.port);
    t.after(() => proxy.close());
    const channel = `page-${form}`;
    const page = await pageWith(t, form, ['websocket'], proxy.url);
    const subscribe = (name, options) => page.evaluate(([name, options]) => globalThis.subscribe(name, options).then(() => {}), [name, options]);
    await subscribe(channel, { recoverable: true, delta: 'fossil' });
    await subscribe(`ticker:${form}`, { tagsFilter: { key: 'ticker', cmp: 'eq', val: 'BTC' } });
    await subscribe(`long:${form}`, {});

    const texts = ['Привет', 'Привёт', '你好', '你们好', '😀', '😁'].map((word) => `${word} и так далее `.repeat(20));
    for (const text of texts) await publish(channel, text);
    for (const ticker of ['ETH', 'BTC']) await publish(`ticker:${form}`, ticker, { tags: { ticker } });
    await publish(`long:${form}`, 'by its number');
    await page.evaluate(([channel]) => globalThis.publish(channel, 'from the page'), [channel]);
    const expected = [...texts, 'from the page'];
    const of = (name) => (all) => all.filter(([channel]) => channel === name).map(([, data]) => data);
    await page.sees('publication', (all) => all.length === expected.length + 2);
    const all = await page.evaluate(() => globalThis.seen.publication);
    assert.deepEqual([of(channel)(all), of(`ticker:${form}`)(all), of(`long:${form}`)(all)], [expected, ['BTC'], ['by its number']]);
    assert.deepEqual(await page.evaluate(([channel]) => globalThis.ask(channel), [channel]), { history: expected, here: ['ana'], count: 1 });
    await page.sees('join', (joins) => joins.some(([of, user]) => of === `long:${form}` && user === 'ana'));

    // The first token lasts two seconds; its successor is sent in place.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    assert.deepEqual(await page.evaluate(() => globalThis.seen.connecting), [0]);

    proxy.cut();
    for (const text of ['пока нас не было', 'пока нас нет']) await publish(channel, text);
    proxy.restore();
    await page.sees('publication', (seen) => of(channel)(seen).length === expected.length + 2);
    await publish(channel, 'пока нас нет и после');
    await page.sees('publication', (seen) => of(channel)(seen).at(-1) === 'пока нас нет и после');
    await page.sees('subscribed', (seen) => seen.filter((one) => one.channel === channel).at(-1).recovered);
    assert.deepEqual(await page.evaluate(() => globalThis.seen.disconnected), []);
  });
}

for (const [form, transport] of [['json', 'http_stream'], ['protobuf', 'http_stream'], ['json', 'sse']]) {
  test(`where WebSocket is blocked a page goes on by ${transport}, in ${form}`, async (t) => {
    const channel = `fallback-${form}-${transport}`;
    const page = await pageWith(t, form, ['websocket', transport], server.url);
    await page.routeWebSocket(/\/connection\/websocket/, (socket) => socket.close());
    await page.evaluate(([channel]) => globalThis.subscribe(channel, { delta: 'fossil' }).then(() => {}), [channel]);
    await page.sees('connected', (transports) => transports[0] === transport);
    const texts = ['Привет', 'Привёт', '你好'].map((word) => `${word} и так далее `.repeat(20));
    for (const text of texts) await publish(channel, text);
    await page.evaluate(([channel]) => globalThis.publish(channel, 'from the page'), [channel]);
    await page.sees('publication', (all) => all.length === 4);
    assert.deepEqual(await page.evaluate(() => globalThis.seen.publication.map(([, data]) => data)), [...texts, 'from the page']);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    assert.deepEqual(await page.evaluate(() => [globalThis.seen.connected, globalThis.seen.disconnected]), [[transport], []]);
  });
}
