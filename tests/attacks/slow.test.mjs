// S14, S16 and G6: who reads slowly is alive and gets everything; who reads nothing, or vanished, is found in a stated time.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { Person, api, request } from '../harness/http.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { client } from '../harness/sdk.mjs';
import { Server } from '../harness/server.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';
import { until, within } from '../harness/wait.mjs';

const IMPATIENT = ['--ping-interval', '1', '--pong-timeout', '1', '--rate-limits', 'false'];
const MESSAGES = 115;
const BODY = 'x'.repeat(16_000);

async function impatient(t) {
  const server = await Server.start({ args: IMPATIENT, env: SECRETS });
  t.after(() => server.kill());
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  return { server, proxy };
}

const metric = async (server, name) => {
  const { text } = await request(`${server.url}/metrics`, { headers: { 'x-api-key': server.apiKey } });
  return Number(text.match(new RegExp(`^tidings_${name} (\\S+)$`, 'm'))[1]);
};

test('s16_a_recovery_of_2_mb_through_a_slow_line_arrives_whole_and_in_order', { timeout: 60_000 }, async (t) => {
  const { server, proxy } = await impatient(t);
  const ana = await Person.setUp(server);
  const channel = `room:${ana.room.id}`;
  const before = await Frames.person(ana);
  const { subscribe: position } = await before.subscribe(channel, { recoverable: true });
  before.close();
  const posts = Array.from({ length: MESSAGES }, () => ana.say(ana.room.id, BODY));
  for (const { status, text } of await Promise.all(posts)) assert.equal(status, 201, text);

  const slow = await Frames.person(ana, { url: proxy.websocketUrl });
  proxy.throttle(250_000);
  const began = Date.now();
  slow.send({ id: 7, subscribe: { channel, recover: true, recoverable: true, offset: position.offset, epoch: position.epoch } });
  // Live ones behind it, as they come.
  for (let n = 0; n < 10; n += 1) await ana.say(ana.room.id, `live ${n} ${BODY}`.slice(0, 16_000));
  const offsets = [];
  let pings = slow.pings ?? 0;
  while (offsets.length < MESSAGES + 10) {
    const line = await slow.next('the rest', 30_000);
    assert.equal(line.closed, undefined, `closed with ${line.closed} after ${Date.now() - began} ms and ${offsets.length} events`);
    if (line.id === 7) {
      assert.equal(line.subscribe?.recovered, true, JSON.stringify(line).slice(0, 200));
      const bytes = JSON.stringify(line).length;
      assert.ok(bytes < 16_000, `a reply of ${bytes} bytes, for which stock clients wait 5 s`);
      offsets.push(...(line.subscribe.publications ?? []).map((publication) => publication.offset));
      pings = slow.pings ?? 0;
    } else if (line.push?.pub?.offset) offsets.push(line.push.pub.offset);
  }
  t.diagnostic(`${(MESSAGES + 10) * BODY.length} bytes in ${Date.now() - began} ms at 250 kB/s, ping 1 s, pong timeout 1 s`);
  assert.deepEqual(offsets, offsets.map((_, index) => position.offset + 1 + index));
  // It answers as ever, and its pings are answered.
  await until('a ping comes and is answered', () => (slow.pings ?? 0) > pings);
  assert.equal((await slow.ask({ presence_stats: { channel } })).presence_stats.num_clients, 1);
  slow.close();
});

test('s16_the_stock_sdk_recovers_all_that_a_channel_keeps_through_a_slow_line', { timeout: 60_000 }, async (t) => {
  const { server, proxy } = await impatient(t);
  for (let n = 0; n < 60; n += 1) await api(server, 'publish', { channel: 'stream', data: { n, BODY } });
  const { epoch } = (await api(server, 'history', { channel: 'stream', limit: 0 })).json.result;
  const centrifuge = client(t, proxy.websocketUrl, { token: tokenFor('ana') });
  const ends = [];
  centrifuge.on('connecting', ({ code, reason }) => code !== 0 && ends.push(`${code} ${reason}`));
  centrifuge.on('disconnected', ({ code, reason }) => ends.push(`${code} ${reason}`));
  centrifuge.connect();
  await centrifuge.ready(10_000);
  // The SDK waits 5 s for a reply; all of it takes longer.
  proxy.throttle(80_000);
  const subscription = centrifuge.newSubscription('stream', { since: { offset: 0, epoch } });
  const seen = [];
  subscription.on('publication', ({ data }) => seen.push(data.n));
  subscription.subscribe();
  await until('everything arrived', () => seen.length === 60 || ends.length > 0, { timeout: 30_000 });
  assert.deepEqual(ends, []);
  assert.deepEqual(seen, Array.from({ length: 60 }, (_, n) => n));
});

for (const [name, query, answer] of [
  ['messages', '', (socket) => socket.send('{}')],
  ['frames', '?cf_ws_frame_ping_pong=true', (socket) => socket.pong()],
]) {
  test(`s16_what_is_asked_for_between_a_ping_and_its_pong_arrives_whole, pings by ${name}`, { timeout: 60_000 }, async (t) => {
    const { server, proxy } = await impatient(t);
    const messages = 60;
    for (let n = 0; n < messages; n += 1) await api(server, 'publish', { channel: 'stream', data: { n, BODY } });
    const { epoch } = (await api(server, 'history', { channel: 'stream', limit: 0 })).json.result;
    const slow = await Frames.open(proxy.websocketUrl + query, { pong: false, autoPong: false });
    const { socket } = slow;
    const pinged = (act) => {
      if (name === 'frames') return socket.once('ping', act);
      const look = (data) => data.toString().split('\n').includes('{}') && (socket.off('message', look), act());
      socket.on('message', look);
    };
    const answerFromNowOn = () => {
      answer(socket);
      pinged(answerFromNowOn);
    };
    pinged(() => {
      proxy.throttle(80_000);
      slow.send({ id: 7, subscribe: { channel: 'stream', recover: true, recoverable: true, offset: 0, epoch } });
      // The server is writing what was asked for.
      socket._socket.once('data', answerFromNowOn);
    });
    slow.send({ id: 1, connect: { token: tokenFor('ana') } });
    const began = Date.now();
    let last = 0;
    while (last < messages) {
      const line = await slow.next('the rest', 30_000);
      assert.equal(line.closed, undefined, `closed with ${line.closed} after ${Date.now() - began} ms and ${last} of ${messages}`);
      last = line.push?.pub?.offset ?? line.subscribe?.publications?.at(-1)?.offset ?? last;
    }
    t.diagnostic(`everything arrived in ${Date.now() - began} ms`);
    slow.close();
  });
}

test('s16_who_takes_long_to_catch_up_gets_all_that_is_published_meanwhile', { timeout: 60_000 }, async (t) => {
  const { server, proxy } = await impatient(t);
  const ana = await Person.setUp(server);
  const channel = `room:${ana.room.id}`;
  const before = await Frames.person(ana);
  const { subscribe: position } = await before.subscribe(channel, { recoverable: true });
  for (const { status, text } of await Promise.all(Array.from({ length: 60 }, () => ana.say(ana.room.id, BODY)))) assert.equal(status, 201, text);

  const slow = await Frames.person(ana, { url: proxy.websocketUrl });
  proxy.throttle(150_000);
  slow.send({ id: 7, subscribe: { channel, recover: true, recoverable: true, offset: position.offset, epoch: position.epoch } });
  const reply = await slow.next('the reply', 10_000);
  assert.equal(reply.subscribe?.recovered, true, JSON.stringify(reply).slice(0, 200));
  const present = await before.ask({ presence_stats: { channel } });
  assert.equal(present.presence_stats.num_clients, 2, 'G6: whose reply says so is there');
  // More than is held back for anybody.
  const meanwhile = 1_100;
  for (let n = 0; n < meanwhile; n += 100) await Promise.all(Array.from({ length: 100 }, () => ana.say(ana.room.id, 'meanwhile')));
  const offsets = (reply.subscribe.publications ?? []).map((publication) => publication.offset);
  while (offsets.length < 60 + meanwhile) {
    const line = await slow.next('the rest', 30_000);
    assert.equal(line.closed, undefined, `closed with ${line.closed} after ${offsets.length} events`);
    if (line.push?.pub?.offset) offsets.push(line.push.pub.offset);
  }
  assert.deepEqual(offsets, Array.from({ length: 60 + meanwhile }, (_, n) => position.offset + 1 + n));
});

test('s14_a_client_that_catches_up_slowly_holds_nothing_of_what_is_published_meanwhile', { timeout: 90_000 }, async (t) => {
  const server = await Server.start({ args: ['--rate-limits', 'false'], env: SECRETS, memory: 512 });
  t.after(() => server.kill());
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const channels = Array.from({ length: 8 }, (_, n) => `c${n}`);
  const data = 'x'.repeat(60_000);
  // Each publication is bytes of its own.
  const publish = () => Promise.all(channels.map((channel) => api(server, 'publish', { channel, data })));
  for (let n = 0; n < 17; n += 1) assert.equal((await publish())[0].status, 200);
  const slow = await Frames.connect(proxy.websocketUrl, { token: tokenFor('mallory') });
  const positions = await Promise.all(channels.map(async (channel) => (await api(server, 'history', { channel, limit: 1 })).json.result));
  proxy.throttle(20_000);
  slow.send(...positions.map(({ offset, epoch }, n) => ({ id: 100 + n, subscribe: { channel: channels[n], recover: true, recoverable: true, offset: offset - 15, epoch } })));
  const isSubscribed = async () => (await api(server, 'presence_stats', { channel: 'c7' })).json.result.num_clients === 1;
  await until('it is subscribed to all', isSubscribed, { timeout: 30_000 });
  const before = server.resident;
  for (let n = 0; n < 200; n += 1) await publish();
  t.diagnostic(`${((200 * 8 * data.length) / 2 ** 20).toFixed(0)} MiB published; ${before.toFixed(0)} MiB before, ${server.peak.toFixed(0)} at the peak`);
  assert.ok(server.peak < before + 48, `${before} to ${server.peak} MiB`);
});

for (const serverSide of [false, true]) {
  const how = serverSide ? 'that the server decides on' : 'of its own';
  test(`s16_the_stock_sdk_comes_back_to_sixty_channels ${how} through a slow line without a second try`, { timeout: 90_000 }, async (t) => {
    const { server, proxy } = await impatient(t);
    const channels = Array.from({ length: 60 }, (_, n) => `c${n}`);
    const publish = (n) => api(server, 'broadcast', { channels, data: { n, text: 'x'.repeat(500) } });
    await publish(0);
    const device = client(t, proxy.websocketUrl, { token: tokenFor('ana', serverSide ? { channels } : {}) });
    const [got, opened, recovered] = [Object.fromEntries(channels.map((channel) => [channel, []])), [], new Set()];
    const heard = (channel, publication) => got[channel].push(publication.data.n);
    const subscribed = (channel, context) => { if (context.wasRecovering && context.recovered) recovered.add(channel); };
    device.on('connecting', ({ code, reason }) => opened.push(`${code} ${reason}`));
    if (serverSide) {
      device.on('publication', (context) => heard(context.channel, context));
      device.on('subscribed', (context) => subscribed(context.channel, context));
    } else {
      for (const channel of channels) {
        const subscription = device.newSubscription(channel, { recoverable: true });
        subscription.on('publication', (context) => heard(channel, context));
        subscription.on('subscribed', (context) => subscribed(channel, context));
        subscription.subscribe();
      }
    }
    device.connect();
    const stats = async () => (await api(server, 'presence_stats', { channel: 'c59' })).json.result?.num_clients;
    await until('it is subscribed', async () => (await stats()) === 1, { timeout: 20_000 });
    await publish(1);
    await until('it hears all', () => channels.every((channel) => got[channel].includes(1)), { timeout: 20_000 });
    proxy.cut();
    await until('it is gone', async () => (await stats()) === 0, { timeout: 20_000 });
    for (let n = 2; n < 22; n += 1) await publish(n);
    proxy.throttle(80_000);
    opened.length = 0;
    proxy.restore();
    const began = Date.now();
    await until('it has all', () => channels.every((channel) => got[channel].at(-1) === 21), { timeout: 60_000 });
    t.diagnostic(`${60 * 20} publications of 500 bytes in ${Date.now() - began} ms at 80 kB/s; ${opened.length} more tries`);
    for (const channel of channels) assert.deepEqual(got[channel].slice(-21), Array.from({ length: 21 }, (_, n) => n + 1), channel);
    assert.equal(recovered.size, 60);
    assert.deepEqual(opened.filter((why) => !why.startsWith('1 ')), [], 'it need not try again');
  });
}

test('s14_a_peer_that_reads_nothing_is_closed_in_a_stated_time_and_counted', { timeout: 60_000 }, async (t) => {
  const { server } = await impatient(t);
  const deaf = await Frames.connect(server.websocketUrl, { token: tokenFor('deaf') });
  await deaf.subscribe('stream');
  deaf.socket._socket.pause();
  const began = Date.now();
  for (let n = 0; n < 150; n += 1) await api(server, 'publish', { channel: 'stream', data: BODY });
  await until('it is gone', async () => (await api(server, 'presence_stats', { channel: 'stream' })).json.result.num_clients === 0, { timeout: 40_000 });
  const took = Date.now() - began;
  t.diagnostic(`closed after ${took} ms`);
  // The write timeout is 10 s.
  assert.ok(took < 30_000, `${took} ms`);
  assert.equal(await metric(server, 'slow_closed_total'), 1);
});

test('g6_transport_pings_keep_the_bound_too', { timeout: 60_000 }, async (t) => {
  const { server, proxy } = await impatient(t);
  const url = `${proxy.websocketUrl}?cf_ws_frame_ping_pong=true`;
  const gone = await Frames.connect(url, { token: tokenFor('ana') });
  await gone.subscribe('stream');
  await new Promise((resolve) => gone.socket.once('ping', resolve));
  proxy.blackHole();
  const began = Date.now();
  await until('it is gone', async () => (await api(server, 'presence_stats', { channel: 'stream' })).json.result.num_clients === 0, { timeout: 30_000 });
  const took = Date.now() - began;
  t.diagnostic(`gone after ${took} ms`);
  // An interval and a timeout of 1 s each, and a slow machine; a client that takes bytes and never answers has 300 s.
  assert.ok(took < 10_000, `${took} ms`);
});

test('s14_what_sockets_keep_of_a_megabyte_that_they_do_not_read_is_kept_once', { timeout: 60_000 }, async (t) => {
  const server = await Server.start({ memory: 512, args: ['--rate-limits', 'false'], env: SECRETS });
  t.after(() => server.kill());
  const before = server.resident;
  for (let opened = 0; opened < 600; opened += 50) {
    await Promise.all(Array.from({ length: 50 }, async (_, number) => {
      const frames = await Frames.connect(server.websocketUrl, { token: tokenFor(`deaf-${(opened + number) % 2}`) });
      await frames.subscribe('news');
      frames.socket.pause();
    }));
  }
  const data = 'x'.repeat(1_000_000);
  for (let n = 0; n < 12; n += 1) assert.equal((await api(server, 'publish', { channel: 'news', data })).status, 200);
  t.diagnostic(`${Math.round(before)} MiB before, ${Math.round(server.peak)} at the peak`);
  assert.ok(server.peak < 250, `${server.peak} MiB`);
});
