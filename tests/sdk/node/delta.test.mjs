// Publications as differences (fossil), applied by the stock SDK: above all text that is not ASCII, where a difference may
// begin and end within a character.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Centrifuge } from 'centrifuge';
import { Centrifuge as OverProtobuf } from 'centrifuge/build/protobuf';

import { api } from '../../harness/http.mjs';
import { Proxy } from '../../harness/proxy.mjs';
import { client, collect, event, recorder, subscribed } from '../../harness/sdk.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';
import { until } from '../../harness/wait.mjs';

const CONFIG = `
[channels]
history_size = 300
delta = "always"

[namespaces.off]

[namespaces.cache]
recovery_mode = "cache"
auto_cache_recovery = true
delta = "always"

[namespaces.bare]
history_size = 0
delta = "always"

[namespaces.compact]
delta = "always"
compaction = true
`;

let server;
before(async () => (server = await Server.start({ env: SECRETS, config: CONFIG })));
after(() => server.kill());

const data = (publications) => publications.map((publication) => publication.data);
const as = (t, options = {}, url = server.websocketUrl) => client(t, url, { token: tokenFor('ana'), ...options });
const publish = async (channel, value, more = {}) => {
  const { json } = await api(server, 'publish', { channel, data: value, ...more });
  assert.ok(json.result, JSON.stringify(json));
  return json.result;
};
/** Nothing may have become of the connection meanwhile: an SDK that cannot apply a difference disconnects. */
const steady = (made) => {
  const ends = [...['disconnected', 'connecting'].map((name) => collect(made, name))];
  return () => assert.deepEqual(ends.map((events) => events.map(({ code, reason }) => [code, reason])), [[], [[0, 'connect called']]]);
};

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** Numbers from 0 to below `n`, the same for the same seed. */
function dice(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
  };
}

// Characters that share all bytes but one with their neighbours, of 1 to 4 bytes each.
const LETTERS = {
  Cyrillic: [...'абвгдежзийклмнопрстуфхцчшщъыьэюя'],
  Chinese: [...'的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能'],
  emoji: [...'😀😁😂😃😄😅😆😇😈😉😊😋🐦🐧🐨🇦🇹🇺🇦'],
  mixed: [...'aé€😀бß中z\\"\n\u2028\ud83d\ude00'],
};

/** A document, and what becomes of it edit by edit. */
function story(letters, edits, seed) {
  const roll = dice(seed);
  const letter = () => letters[roll(letters.length)];
  const text = Array.from({ length: 400 }, letter);
  return Array.from({ length: edits }, (_, number) => {
    const at = roll(text.length);
    [() => (text[at] = letter()), () => text.splice(at, 1), () => text.splice(at, 0, letter(), letter()), () => text.splice(at, 20, ...text.slice(0, 20))][roll(4)]();
    return { number, text: text.join('') };
  });
}

for (const [name, letters] of Object.entries(LETTERS)) {
  test(`${name} text arrives as it was, edit by edit, and costs less than all of it`, async (t) => {
    t.diagnostic(`SEED=${SEED}`);
    const { websocket, bytes } = recorder();
    const ana = as(t, { websocket });
    const check = steady(ana);
    const page = await subscribed(ana, `page-${name}`, { delta: 'fossil' });
    const states = story(letters, 100, SEED);
    for (const state of states) await publish(`page-${name}`, state);
    assert.deepEqual(data(await page.publications.take(states.length)), states);
    check();
    const whole = states.reduce((sum, state) => sum + Buffer.byteLength(JSON.stringify(state)), 0);
    assert.ok(bytes() < whole / 2, `${bytes()} of ${whole} bytes`);
  });
}

test('each single change within a character arrives: one byte of two, of three and of four', async (t) => {
  const ana = as(t);
  const check = steady(ana);
  const page = await subscribed(ana, 'pairs', { delta: 'fossil' });
  const around = 'Заголовок 标题 😀 '.repeat(10);
  const values = [];
  for (const [one, other] of ['éè', 'бв', 'а\u0450', 'гѓ', '的皅', '€₭', '😀😁', '😀🤀'].map((pair) => [...pair])) {
    for (const middle of [one, other, one + other, other + one]) values.push(`${around}${middle}${around}`, `${middle}${around}`, `${around}${middle}`);
  }
  for (const value of values) await publish('pairs', value);
  assert.deepEqual(data(await page.publications.take(values.length)), values);
  check();
});

test('after a cut the missed ones are recovered as differences to each other, and the next one builds upon them', async (t) => {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const page = await subscribed(as(t, {}, proxy.websocketUrl), 'cut', { delta: 'fossil' });
  const states = story(LETTERS.mixed, 60, SEED);
  for (const state of states.slice(0, 10)) await publish('cut', state);
  await page.publications.take(10);
  const resubscribed = event(page, 'subscribing').then(() => event(page, 'subscribed'));
  proxy.cut();
  for (const state of states.slice(10, 50)) await publish('cut', state);
  proxy.restore();
  assert.equal((await resubscribed).recovered, true);
  for (const state of states.slice(50)) await publish('cut', state);
  assert.deepEqual(data(await page.publications.take(60)), states);
});

test('a cut after which nothing can be recovered begins with a whole one', async (t) => {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const page = await subscribed(as(t, {}, proxy.websocketUrl), 'evicted', { delta: 'fossil' });
  await publish('evicted', 'Старый текст '.repeat(20));
  await page.publications.take(1);
  const resubscribed = event(page, 'subscribing').then(() => event(page, 'subscribed'));
  proxy.cut();
  for (let n = 0; n < 302; n += 1) await publish('evicted', `Новый текст ${n} `.repeat(20));
  proxy.restore();
  assert.equal((await resubscribed).recovered, false);
  const last = ['Последний', 'Последняя', 'Последнее'].map((word) => `${word} текст `.repeat(20));
  for (const text of last) await publish('evicted', text);
  assert.deepEqual(data(await page.publications.take(4)).slice(1), last);
});

test('a reader on a slow line gets every state', async (t) => {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const page = await subscribed(as(t, {}, proxy.websocketUrl), 'slow', { delta: 'fossil' });
  const answers = collect(page, 'subscribed');
  const states = story(LETTERS.Cyrillic, 200, SEED);
  proxy.throttle(20_000);
  await Promise.all(states.map((state) => publish('slow', state)));
  const { publications } = await api(server, 'history', { channel: 'slow', limit: 300 }).then(({ json }) => json.result);
  assert.deepEqual(data(await page.publications.take(states.length)), data(publications));
  assert.equal(answers.length, 0);
});

test('a reader that reads nothing while megabytes pass is told that it missed some (2500), and goes on from a whole one', async (t) => {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const page = await subscribed(as(t, { timeout: 20_000 }, proxy.websocketUrl), 'deaf', { delta: 'fossil' });
  const [left, answers] = ['subscribing', 'subscribed'].map((name) => collect(page, name));
  proxy.pause();
  const filler = LETTERS.Chinese.join('').repeat(500);
  for (let n = 0; n < 300; n += 1) await publish('deaf', `${n}${filler}`.repeat(1 + (n % 2)), { skip_history: n % 2 === 1 });
  proxy.resume();
  await answers.take(1);
  assert.deepEqual(left.map(({ code }) => code), [2500]);
  const states = story(LETTERS.Chinese, 10, SEED);
  for (const state of states) await publish('deaf', state);
  await until('the last is there', () => page.publications.at(-1)?.data.number === 9);
  assert.deepEqual(data(page.publications.slice(-10)), states);
});

test('a reader that is cut off and whose line is then slow recovers a long history in pieces, differences and all', async (t) => {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const page = await subscribed(as(t, {}, proxy.websocketUrl), 'pieces', { delta: 'fossil' });
  const roll = dice(SEED);
  // So different from each other that differences are long: more than what comes with a reply.
  const states = Array.from({ length: 60 }, () => Array.from({ length: 300 }, () => LETTERS.mixed[roll(LETTERS.mixed.length)]).join(''));
  await publish('pieces', states[0]);
  await page.publications.take(1);
  proxy.cut();
  for (const state of states.slice(1, 50)) await publish('pieces', state);
  const resubscribed = event(page, 'subscribed');
  proxy.throttle(60_000);
  proxy.restore();
  for (const state of states.slice(50)) await publish('pieces', state);
  assert.equal((await resubscribed).recovered, true);
  assert.deepEqual(data(await page.publications.take(60)), states);
});

test('JSON, protobuf, with differences and without, side by side in one channel', async (t) => {
  const all = [];
  for (const [Client, delta] of [[Centrifuge, 'fossil'], [Centrifuge, undefined], [OverProtobuf, 'fossil'], [OverProtobuf, undefined]]) {
    const made = new Client(server.websocketUrl, { token: tokenFor('ana'), websocket: recorder().websocket });
    t.after(() => made.disconnect());
    const read = Client === Centrifuge ? (value) => value : (value) => JSON.parse(new TextDecoder().decode(value));
    const one = await subscribed(made, 'side', delta && { delta });
    all.push(async (n) => data(await one.publications.take(n)).map(read));
  }
  const states = story(LETTERS.mixed, 30, SEED);
  for (const state of states) await publish('side', state);
  for (const taken of all) assert.deepEqual(await taken(states.length), states);
});

test('what is published by clients is sent as differences too', async (t) => {
  const { websocket, bytes } = recorder();
  const page = await subscribed(as(t, { websocket }), 'by-clients', { delta: 'fossil' });
  const author = as(t);
  const states = story(LETTERS.Cyrillic, 30, SEED);
  author.connect();
  for (const state of states) await author.publish('by-clients', state);
  assert.deepEqual(data(await page.publications.take(30)), states);
  assert.ok(bytes() < states.length * 500, `${bytes()} bytes`);
});

test('what passes by the history in between does not disturb the chain', async (t) => {
  const ana = as(t);
  const check = steady(ana);
  const page = await subscribed(ana, 'between', { delta: 'fossil' });
  const values = ['первый', 'второй', 'третий', 'четвёртый', 'пятый', 'шестой'].map((word) => `${word} `.repeat(30));
  for (const [index, value] of values.entries()) await publish('between', value, { skip_history: index % 3 === 1 });
  assert.deepEqual(data(await page.publications.take(6)), values);
  check();
});

test('without history every publication is the base of the next, or is whole', async (t) => {
  const ana = as(t);
  const check = steady(ana);
  const page = await subscribed(ana, 'bare:it', { delta: 'fossil' });
  const states = story(LETTERS.Chinese, 20, SEED);
  for (const state of states) await publish('bare:it', state);
  assert.deepEqual(data(await page.publications.take(20)), states);
  check();
});

test('in cache mode a first subscriber has the latest whole, and after a cut the latest again', async (t) => {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const states = story(LETTERS.emoji, 20, SEED);
  for (const state of states.slice(0, 5)) await publish('cache:it', state);
  const page = await subscribed(as(t, {}, proxy.websocketUrl), 'cache:it', { delta: 'fossil' });
  for (const state of states.slice(5, 8)) await publish('cache:it', state);
  assert.deepEqual(data(await page.publications.take(4)), states.slice(4, 8));
  const resubscribed = event(page, 'subscribing').then(() => event(page, 'subscribed'));
  proxy.cut();
  for (const state of states.slice(8, 15)) await publish('cache:it', state);
  proxy.restore();
  assert.equal((await resubscribed).recovered, true);
  for (const state of states.slice(15)) await publish('cache:it', state);
  assert.deepEqual(data(await page.publications.take(10)), [...states.slice(4, 8), ...states.slice(14)]);
});

test('unsubscribing and subscribing again begins with a whole one', async (t) => {
  const ana = as(t);
  const check = steady(ana);
  const page = await subscribed(ana, 'again', { delta: 'fossil' });
  await publish('again', 'первый '.repeat(30));
  await page.publications.take(1);
  page.unsubscribe();
  await publish('again', 'второй '.repeat(30));
  const answer = event(page, 'subscribed');
  page.subscribe();
  await answer;
  await publish('again', 'третий '.repeat(30));
  await until('the last is there', () => page.publications.some(({ data: text }) => text.startsWith('третий')));
  check();
});

test('with compaction too', async (t) => {
  const page = await subscribed(as(t), 'compact:a-rather-long-name', { delta: 'fossil' });
  const states = story(LETTERS.mixed, 30, SEED);
  for (const state of states) await publish('compact:a-rather-long-name', state);
  assert.deepEqual(data(await page.publications.take(30)), states);
});

test('where differences are off a client that asks for them gets all whole', async (t) => {
  const ana = as(t);
  const check = steady(ana);
  const page = await subscribed(ana, 'off:it', { delta: 'fossil' });
  const states = story(LETTERS.Cyrillic, 10, SEED);
  for (const state of states) await publish('off:it', state);
  assert.deepEqual(data(await page.publications.take(10)), states);
  check();
});
