// S14 and S17 over HTTP/2: one connection asks for much and takes nothing, or a byte now and then; and one that carries
// many sockets.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { test } from 'node:test';

import { Person, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

const REQUESTS = 100;
const MESSAGES = 200;
const BODY = 'x'.repeat(16_000);

/** A server with one room whose page of events is as large as pages get. */
async function withLargePages(t, options) {
  const server = await Server.start({ memory: 512, args: ['--rate-limits', 'false'], ...options });
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const posts = Array.from({ length: MESSAGES }, () => ana.say(ana.room.id, BODY));
  for (const { status, text } of await Promise.all(posts)) assert.equal(status, 201, text);
  const page = `/v1/rooms/${ana.room.id}/events?after=0&limit=${MESSAGES}`;
  return { server, ana, page };
}

/** A connection of HTTP/2 whose windows are as small as it says. */
async function connection(t, server, settings) {
  const session = http2.connect(server.url, { settings });
  session.on('error', () => {});
  t.after(() => session.destroy());
  await once(session, 'remoteSettings');
  return session;
}

/** Asks without reading what comes; resolves to the status, or to undefined when the stream or the connection was cut. */
function ask(session, person, path) {
  const stream = session.request({ ':path': path, cookie: person.cookie });
  stream.on('error', () => {});
  stream.pause();
  stream.answered = new Promise((resolve) => {
    stream.on('response', (head) => resolve(head[':status']));
    stream.on('close', () => resolve(undefined));
  });
  return stream;
}

test('s14_answers_that_nobody_reads_are_bounded_on_one_connection', { timeout: 60_000 }, async (t) => {
  const { server, ana, page } = await withLargePages(t);
  const before = server.resident;
  const deaf = await connection(t, server, { initialWindowSize: 0 });
  const asked = Array.from({ length: REQUESTS }, () => ask(deaf, ana, page));
  const statuses = await Promise.all(asked.map((stream) => stream.answered));
  t.diagnostic(`${before.toFixed(0)} MiB before, ${server.peak.toFixed(0)} MiB at the peak; ${statuses.filter((status) => status === 200).length} answered, ${statuses.filter((status) => status === 503).length} told to come later`);
  assert.ok(server.alive);
  // 8 MiB a connection and what the pages under preparation take, with room for any allocator; without a bound it was 417 MiB.
  assert.ok(server.peak - before < 250, `${server.peak - before} MiB more`);
  // On a slow machine the first of them are cut before the last are answered.
  assert.ok(statuses.every((status) => status === 200 || status === 503 || status === undefined));
  assert.ok(statuses.includes(503));
  // Somebody else is served, on the same page.
  assert.equal((await ana.get(page)).status, 200);
});

test('s14_connections_that_read_nothing_are_bounded_together', { timeout: 60_000 }, async (t) => {
  const { server, ana, page } = await withLargePages(t);
  const before = server.resident;
  const asked = [];
  for (let n = 0; n < 24; n += 1) {
    const deaf = await connection(t, server, { initialWindowSize: 0 });
    asked.push(...Array.from({ length: 4 }, () => ask(deaf, ana, page)));
  }
  await Promise.all(asked.map((stream) => stream.answered));
  t.diagnostic(`${before.toFixed(0)} MiB before, ${server.peak.toFixed(0)} MiB at the peak`);
  assert.ok(server.alive);
  // 96 MiB in all, what the pages under preparation take, and room for any allocator; without a bound it was 388 MiB or the end.
  assert.ok(server.peak < 360, `${server.peak} MiB`);
  assert.equal((await ana.get(page)).status, 200);
});

test('s15_a_rapid_reset_of_streams_delays_nobody', { timeout: 30_000 }, async (t) => {
  const server = await Server.start({ memory: 512 });
  t.after(() => server.kill());
  const before = server.resident;
  const end = Date.now() + 2_000;
  let asked = 0;
  let worst = 0;
  while (Date.now() < end) {
    const session = await connection(t, server, {});
    while (!session.closed && !session.destroyed && Date.now() < end) {
      for (let n = 0; n < 100 && !session.destroyed; n += 1, asked += 1) {
        const stream = session.request({ ':path': '/readyz' });
        stream.on('error', () => {});
        stream.close(http2.constants.NGHTTP2_CANCEL);
      }
      const began = Date.now();
      assert.equal((await request(`${server.url}/healthz`)).status, 200);
      worst = Math.max(worst, Date.now() - began);
    }
    session.destroy();
  }
  t.diagnostic(`${asked} streams opened and reset in 2 s; the slowest answer to somebody else took ${worst} ms; ${(server.peak - before).toFixed(0)} MiB more`);
  assert.ok(worst < 5_000, `${worst} ms`);
  assert.ok(server.peak - before < 64, `${server.peak - before} MiB more`);
});

test('s17_sockets_through_one_http2_connection_count_as_many', { timeout: 30_000 }, async (t) => {
  // The process may open 128 files, so that it takes 96 connections.
  const server = await Server.start({ files: 128 });
  t.after(() => server.kill());
  const session = await connection(t, server, {});
  const open = () => new Promise((resolve) => {
    const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/connection/websocket', 'sec-websocket-version': '13' });
    stream.on('error', () => {});
    stream.on('response', (head) => resolve(head[':status']));
    stream.on('close', () => resolve(undefined));
  });
  const statuses = await Promise.all(Array.from({ length: 150 }, open));
  const opened = statuses.filter((status) => status === 200).length;
  t.diagnostic(`${opened} of 150 sockets opened`);
  assert.ok(opened > 50 && opened < 96, `${opened}`);
  assert.ok(statuses.every((status) => status === 200 || status === 503), String(statuses));
  // The places come back with the connection.
  session.destroy();
  await until('there is room again', async () => (await request(`${server.url}/healthz`, { agent: false })).status === 200);
});
