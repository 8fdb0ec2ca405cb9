// Live connections over plain HTTP whose clients do not read, or send without end: bounded, and nobody else notices
// (S14, S15, S17, G7).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { test } from 'node:test';

import { api, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { Stream, emulate } from '../harness/streams.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';
import { until } from '../harness/wait.mjs';

const MIB = 1 << 20;
const NO_LIMITS = ['--rate-limits', 'false'];
const FILLER = 'x'.repeat(16_000);

const numClients = async (server, channel) => (await api(server, 'presence_stats', { channel })).json.result.num_clients;
const metric = async (server, name) => {
  const { text } = await request(`${server.url}/metrics`, { headers: { 'x-api-key': server.apiKey } });
  return Number(text.match(new RegExp(`^tidings_${name} (\\S+)$`, 'm'))[1]);
};

for (const [name, path, overHttp2] of [
  ['HTTP streaming', '/connection/http_stream', false],
  ['an event stream', '/connection/sse', false],
  ['HTTP streaming on HTTP/2', '/connection/http_stream', true],
]) {
  test(`s14_g7_who_reads_nothing_of ${name} is cut, and whoever reads gets everything in order`, { timeout: 90_000 }, async (t) => {
    const server = await Server.start({ env: SECRETS, args: NO_LIMITS });
    t.after(() => server.kill());
    const session = overHttp2 ? http2.connect(server.url) : undefined;
    t.after(() => session?.destroy());
    const open = (user, more) => Stream.connect(server.url + path, { token: tokenFor(user) }, { session, ...more });
    const [stuck, reader] = [await open('stuck'), await open('reader')];
    for (const one of [stuck, reader]) await one.subscribe('feed');
    stuck.pause();
    const began = Date.now();
    const sent = 600;
    for (let n = 0; n < sent; n += 1) await api(server, 'publish', { channel: 'feed', data: { n, FILLER } });
    for (let n = 0; n < sent; n += 1) {
      const { push } = await reader.next(`publication ${n}`);
      assert.equal(push?.pub?.data?.n, n, JSON.stringify(push)?.slice(0, 200));
    }
    t.diagnostic(`${Math.round((sent * FILLER.length) / MIB)} MiB in ${Date.now() - began} ms past who does not read`);
    await until('it is taken out of the channel', async () => (await numClients(server, 'feed')) === 1, { timeout: 30_000 });
    await until('its connection is gone', async () => (await metric(server, 'connections')) === 1, { timeout: 30_000 });
    t.diagnostic(`gone after ${Date.now() - began} ms`);
    stuck.resume();
    const ended = await stuck.ended;
    // Either it is told why, behind a whole message, or it is cut.
    if (ended === 'whole') assert.match(stuck.text.trimEnd().split('\n').at(-1), /"disconnect":\{"code":3008/);
    assert.equal((await reader.ask({ presence_stats: { channel: 'feed' } })).presence_stats.num_clients, 1);
  });
}

test('s14_s17_thousands_of_streams_that_nobody_reads_are_bounded_and_hold_up_nobody', { timeout: 120_000 }, async (t) => {
  const server = await Server.start({ env: SECRETS, args: NO_LIMITS, memory: 700 });
  t.after(() => server.kill());
  const [connections, streams] = [15, 200];
  let opened = 0;
  for (let index = 0; index < connections; index += 1) {
    const session = http2.connect(server.url);
    t.after(() => session.destroy());
    await once(session, 'connect');
    await Promise.all(Array.from({ length: streams }, async (_, n) => {
      const body = JSON.stringify({ id: 1, connect: { token: tokenFor(`user-${index}-${n}`) } }) + '\n' + JSON.stringify({ id: 2, subscribe: { channel: 'flood' } });
      const call = session.request({ ':method': 'POST', ':path': `/connection/${n % 2 ? 'sse' : 'http_stream'}`, 'content-type': 'application/json' });
      call.on('error', () => {});
      call.end(body);
      const [head] = await new Promise((resolve, reject) => call.once('response', (...given) => resolve(given)).once('error', reject));
      if (head[':status'] === 200) opened += 1;
      call.pause();
    }));
  }
  t.diagnostic(`${opened} streams open, ${Math.round(server.resident)} MiB`);
  assert.equal(opened, connections * streams);
  await until('all are subscribed', async () => (await numClients(server, 'flood')) === opened, { timeout: 20_000 });
  const reader = await Stream.connect(`${server.url}/connection/http_stream`, { token: tokenFor('reader') });
  t.after(() => reader.close());
  await reader.subscribe('flood');
  const before = server.resident;
  for (let n = 0; n < 400; n += 1) {
    const began = Date.now();
    await api(server, 'publish', { channel: 'flood', data: { n, FILLER } });
    assert.equal((await reader.until('the next publication', ({ push }) => push?.pub)).data.n, n);
    assert.ok(Date.now() - began < 2_000, `${Date.now() - began} ms`);
  }
  t.diagnostic(`${Math.round(server.resident)} MiB with ${Math.round((400 * FILLER.length) / MIB)} MiB published, ${Math.round(before)} before, at most ${Math.round(server.peak)}`);
  assert.ok(server.peak - before < 300, `${server.peak - before} MiB`);
  await until('those who read nothing are gone', async () => (await metric(server, 'connections')) === 1, { timeout: 60_000 });
});

test('s15_an_uplink_that_sends_more_than_is_done_is_refused_before_it_fills_the_memory', { timeout: 60_000 }, async (t) => {
  const server = await Server.start({ env: SECRETS, memory: 400 });
  t.after(() => server.kill());
  const stream = await Stream.connect(`${server.url}/connection/http_stream`, { token: tokenFor('ana') });
  await stream.subscribe('up');
  stream.pause();
  const data = JSON.stringify({ id: 9, publish: { channel: 'up', data: 'x'.repeat(60_000) } });
  const before = server.resident;
  const statuses = {};
  for (let round = 0; round < 40; round += 1) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => emulate(server.url, { ...stream.connected, data })));
    for (const { status } of answers) statuses[status] = (statuses[status] ?? 0) + 1;
  }
  t.diagnostic(`${JSON.stringify(statuses)} for 2,000 frames of 60 kB, ${Math.round(server.peak - before)} MiB at most`);
  assert.deepEqual(Object.keys(statuses).filter((status) => status !== '204' && status !== '429'), []);
  assert.ok(server.peak - before < 100, `${server.peak - before} MiB`);
  const other = await Stream.connect(`${server.url}/connection/sse`, { token: tokenFor('ben') });
  assert.equal((await other.ask({ publish: { channel: 'other', data: 1 } })).error, undefined);
  other.close();
  stream.close();
});
