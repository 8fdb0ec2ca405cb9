// Publications chosen by their tags, with the filters of the stock SDK.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { api } from '../../harness/http.mjs';
import { Proxy } from '../../harness/proxy.mjs';
import { client, collect, connected, event, recorder, refused, subscribed } from '../../harness/sdk.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';

let server;
before(async () => {
  server = await Server.start({ env: SECRETS, config: '[channels]\n[namespaces.ticker]\ntags_filter = true\ndelta = "always"\ncompaction = true\n' });
});
after(() => server.kill());

const data = (publications) => publications.map((publication) => publication.data);
const as = (t, options = {}, url = server.websocketUrl) => client(t, url, { token: tokenFor('ana'), ...options });
const publish = async (channel, value, tags) => {
  const { json } = await api(server, 'publish', { channel, data: value, tags });
  assert.ok(json.result, JSON.stringify(json));
  return json.result;
};
const key = (name, cmp, more = {}) => ({ key: name, cmp, ...more });

const TAGS = {
  bitcoin: { ticker: 'BTC', price: '50000', city: 'Zürich' },
  ether: { ticker: 'ETH', price: '3000.5', city: '北京' },
  solana: { ticker: 'SOL', price: '-1' },
  none: {},
};

test('every comparison and every way to put them together chooses what it says', async (t) => {
  const all = Object.keys(TAGS);
  const cases = [
    [key('ticker', 'eq', { val: 'BTC' }), ['bitcoin']],
    [key('ticker', 'neq', { val: 'BTC' }), ['ether', 'solana', 'none']],
    [key('ticker', 'in', { vals: ['BTC', 'SOL'] }), ['bitcoin', 'solana']],
    [key('ticker', 'nin', { vals: ['BTC', 'SOL'] }), ['ether', 'none']],
    [key('city', 'ex'), ['bitcoin', 'ether']],
    [key('city', 'nex'), ['solana', 'none']],
    [key('city', 'sw', { val: 'Zü' }), ['bitcoin']],
    [key('city', 'ew', { val: '京' }), ['ether']],
    [key('ticker', 'ct', { val: 'T' }), ['bitcoin', 'ether']],
    [key('price', 'lt', { val: '3000.5' }), ['solana']],
    [key('price', 'lte', { val: '3000.5' }), ['ether', 'solana']],
    [key('price', 'gt', { val: '3000.5' }), ['bitcoin']],
    [key('price', 'gte', { val: '3000.50' }), ['bitcoin', 'ether']],
    [{ op: 'and', nodes: [key('ticker', 'ct', { val: 'T' }), key('price', 'lt', { val: '10000' })] }, ['ether']],
    [{ op: 'or', nodes: [key('ticker', 'eq', { val: 'SOL' }), key('city', 'ex')] }, ['bitcoin', 'ether', 'solana']],
    [{ op: 'not', nodes: [key('ticker', 'eq', { val: 'SOL' })] }, ['bitcoin', 'ether', 'none']],
  ];
  const wanted = await Promise.all(cases.map(async ([tagsFilter, names]) => {
    const one = await subscribed(as(t), 'ticker:all', { tagsFilter });
    return { one, names, tagsFilter };
  }));
  for (const name of all) await publish('ticker:all', name, TAGS[name]);
  await publish('ticker:all', 'last', { ticker: 'LAST' });
  for (const { one, names, tagsFilter } of wanted) {
    await one.publications.take(names.length);
    const { offset } = await one.history({ limit: 0 });
    assert.equal(offset, 5);
    assert.deepEqual(data(one.publications).filter((name) => name !== 'last'), names, JSON.stringify(tagsFilter));
  }
});

test('a publication says its tags, and what is not wanted is never sent', async (t) => {
  const { websocket, frames } = recorder();
  const one = await subscribed(as(t, { websocket }), 'ticker:sent', { tagsFilter: key('ticker', 'eq', { val: 'ETH' }) });
  await publish('ticker:sent', 'not-for-you', TAGS.bitcoin);
  await publish('ticker:sent', 'for-you', TAGS.ether);
  const [publication] = await one.publications.take(1);
  assert.deepEqual(publication.tags, TAGS.ether);
  assert.equal(publication.offset, 2);
  assert.ok(frames.some((frame) => frame.includes('for-you')) && !frames.some((frame) => frame.includes('not-for-you')));
});

test('numbers that are left out are no gap, and after a cut what is wanted is recovered', async (t) => {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const one = await subscribed(as(t, {}, proxy.websocketUrl), 'ticker:cut', { tagsFilter: key('ticker', 'eq', { val: 'ETH' }) });
  const left = collect(one, 'subscribing');
  for (let n = 0; n < 10; n += 1) await publish('ticker:cut', n, n % 3 === 0 ? TAGS.ether : TAGS.bitcoin);
  assert.deepEqual(data(await one.publications.take(4)), [0, 3, 6, 9]);
  assert.equal(left.length, 0);
  const resubscribed = event(one, 'subscribed');
  proxy.cut();
  for (let n = 10; n < 100; n += 1) await publish('ticker:cut', n, n % 20 === 0 ? TAGS.ether : TAGS.bitcoin);
  proxy.restore();
  assert.equal((await resubscribed).recovered, true);
  await publish('ticker:cut', 'live', TAGS.ether);
  assert.deepEqual(data(await one.publications.take(9)).slice(4), [20, 40, 60, 80, 'live']);
});

test('a filter can be changed, for the next subscribe', async (t) => {
  const one = await subscribed(as(t), 'ticker:changed', { tagsFilter: key('ticker', 'eq', { val: 'ETH' }) });
  await publish('ticker:changed', 1, TAGS.ether);
  await one.publications.take(1);
  one.unsubscribe();
  one.setTagsFilter(key('ticker', 'eq', { val: 'BTC' }));
  const answer = event(one, 'subscribed');
  one.subscribe();
  await answer;
  await publish('ticker:changed', 2, TAGS.ether);
  await publish('ticker:changed', 3, TAGS.bitcoin);
  assert.deepEqual(data(await one.publications.take(2)), [1, 3]);
});

test('a filter where there are none, or one that makes no sense, is 107', async (t) => {
  const ana = as(t);
  await connected(ana);
  assert.equal(await refused(ana, 'lobby', { tagsFilter: key('ticker', 'ex') }), 107);
  for (const tagsFilter of [key('ticker', 'like'), { op: 'xor', nodes: [] }, { op: 'not', nodes: [] }, { key: '', cmp: 'eq', val: 'x' }]) {
    assert.equal(await refused(ana, 'ticker:nonsense', { tagsFilter }), 107, JSON.stringify(tagsFilter));
  }
});
