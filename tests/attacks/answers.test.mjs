// S14: members of a room who ask for all they may and read none of it. What was answered to them waits in the server, and
// has one bound for all of them.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { SECRETS } from '../harness/tokens.mjs';
import { until, within } from '../harness/wait.mjs';

const PEOPLE = 10;
const MESSAGES = 300;
const BODY = 'x'.repeat(16_000);
const ATTACK_MS = 8_000;
const ASK_EVERY_MS = 100;
// What a person may post in the long run, and more.
const POST_EVERY_MS = 200;

/** A server whose room has more than any answer brings, and its members. Nobody is held by an allowance. */
async function aLongRoom(t) {
  const server = await Server.start({ memory: 512, args: ['--rate-limits', 'false'], env: SECRETS });
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const people = [];
  for (let n = 0; n < PEOPLE; n += 1) people.push(await Person.invited(ana));
  const posts = Array.from({ length: MESSAGES }, (_, n) => people[n % PEOPLE].say(ana.room.id, BODY));
  for (const { status, text } of await Promise.all(posts)) assert.equal(status, 201, text);
  return { server, ana, people };
}

/** A member's socket that will read nothing. */
async function deaf({ server, cookie }, query) {
  const frames = await Frames.connect(server.websocketUrl + query, {}, { headers: { cookie, origin: server.url } });
  frames.socket._socket.pause();
  return frames;
}

/** Asks for history, calls and asks who is there, as fast as it is let; returns what ends it. */
function flood(frames, room) {
  const channel = `room:${room}`;
  let id = 100;
  const ask = () => {
    if (frames.socket.bufferedAmount > 1 << 20) return;
    const history = { history: { channel, limit: -1, reverse: true } };
    const rpc = { method: 'typing', data: { room } };
    const commands = [history, { rpc }, history, { presence: { channel } }];
    frames.send(...commands.map((command) => ({ id: (id += 1), ...command })));
  };
  ask();
  const timer = setInterval(ask, ASK_EVERY_MS);
  return () => (clearInterval(timer), frames.socket.terminate());
}

const p99 = (times) => times.toSorted((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1].toFixed(0);

/** Posts, and reads the newest of the room, over and over; the figures of both. */
async function honest(t, ana, frames, ms) {
  const channel = `room:${ana.room.id}`;
  const [posts, reads] = [[], []];
  const timed = async (times, command) => {
    const began = performance.now();
    const answer = await frames.ask(command);
    times.push(performance.now() - began);
    return answer;
  };
  const end = Date.now() + ms;
  for (let n = 0; Date.now() < end; n += 1) {
    await new Promise((resolve) => setTimeout(resolve, POST_EVERY_MS));
    const data = { room: ana.room.id, client_id: crypto.randomUUID(), body: `honest ${n}` };
    const posted = await timed(posts, { rpc: { method: 'post', data } });
    assert.ok(posted.rpc?.data.number > 0, JSON.stringify(posted));
    const read = await timed(reads, { history: { channel, limit: 20, reverse: true } });
    assert.equal(read.history?.publications[0].offset, posted.rpc.data.number, JSON.stringify(read).slice(0, 200));
  }
  t.diagnostic(`a member beside them: ${posts.length} posts with a p99 of ${p99(posts)} ms, ${reads.length} reads of history with ${p99(reads)} ms`);
  // All of the room, page by page, as a client reads on.
  const seen = new Set();
  for (let since; ;) {
    const { history } = await frames.ask({ history: { channel, limit: -1, reverse: true, ...(since && { since }) } });
    for (const { offset } of history.publications) seen.add(offset);
    const last = history.publications.at(-1)?.offset ?? 1;
    if (last <= 1) break;
    since = { offset: last, epoch: history.epoch };
  }
  assert.ok(seen.size >= MESSAGES + posts.length, `${seen.size} events`);
  frames.close();
}

for (const sockets of [60, 280]) {
  for (const [how, query] of [['by the loops', ''], ['by its task', '?cf_ws_frame_ping_pong=true']]) {
    test(`s14_${sockets}_sockets_of_members_that_ask_and_do_not_read, each written to ${how}`, { timeout: 240_000 }, async (t) => {
      const { server, ana, people } = await aLongRoom(t);
      const before = server.resident;
      const reader = await Frames.person(ana);
      const deafs = await Promise.all(Array.from({ length: sockets }, (_, n) => deaf(people[n % PEOPLE], query)));
      const ends = deafs.map((frames) => flood(frames, ana.room.id));
      try {
        // What they are given until their sockets are full is work for a processor, which a debug build takes its time for.
        const began = performance.now();
        await until('a post is answered', async () => (await ana.say(ana.room.id, 'first')).status === 201, { timeout: 60_000 });
        const first = performance.now() - began;
        let cpu = 0;
        const rests = () => server.cpu - cpu < 0.05 || ((cpu = server.cpu), false);
        await until('they are full', rests, { timeout: 120_000, every: 2_000 });
        t.diagnostic(`the first post of a member beside them took ${first.toFixed(0)} ms; they are full after ${(performance.now() - began).toFixed(0)} ms`);
        await honest(t, ana, reader, ATTACK_MS);
      } finally {
        t.diagnostic(server.alive ? `${before.toFixed(0)} MiB before, ${server.peak.toFixed(0)} MiB at the peak` : `killed; ${before.toFixed(0)} MiB before`);
        ends.forEach((end) => end());
      }
      assert.ok(server.alive);
      assert.ok(server.peak < 400, `${server.peak} MiB`);
    });
  }
}

/** A connection over which something is asked, and of whose answer nobody reads more than the beginning. */
async function deafRequest(server, path, headers, body = '') {
  const socket = net.connect({ port: server.port, host: '127.0.0.1' });
  socket.on('error', () => {});
  const lines = Object.entries({ host: `127.0.0.1:${server.port}`, 'content-length': body.length, ...headers });
  socket.write(`${body ? 'POST' : 'GET'} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}`).join('\r\n')}\r\n\r\n${body}`);
  const [head] = await within(60_000, 'the beginning of an answer', Promise.race([once(socket, 'data'), once(socket, 'close')]));
  socket.pause();
  return { socket, status: Buffer.isBuffer(head) ? Number(head.toString().slice(9, 12)) : undefined };
}

for (const how of ['the REST pages', 'the server API']) {
  test(`s14_280_requests_for_history_by ${how} whose answers nobody reads`, { timeout: 120_000 }, async (t) => {
    const { server, ana, people } = await aLongRoom(t);
    const room = ana.room.id;
    const before = server.resident;
    const deafs = await Promise.all(Array.from({ length: 280 }, (_, n) => how === 'the REST pages'
      ? deafRequest(server, `/v1/rooms/${room}/events?after=0&limit=200`, { cookie: people[n % PEOPLE].cookie })
      : deafRequest(server, '/api/history', { 'x-api-key': server.apiKey }, JSON.stringify({ channel: `room:${room}`, limit: 300 }))));
    try {
      const page = () => ana.get(`/v1/rooms/${room}/events?after=0&limit=200`);
      const began = performance.now();
      // Told to come back later (503) while those who read nothing hold all there is; they are cut in a stated time.
      await until('a page is read', async () => (await page()).status === 200, { timeout: 60_000 });
      const answered = deafs.filter(({ status }) => status === 200).length;
      t.diagnostic(`${answered} of ${deafs.length} answered with 200; ${before.toFixed(0)} MiB before, ${server.peak.toFixed(0)} MiB at the peak; a page beside them after ${(performance.now() - began).toFixed(0)} ms`);
    } finally {
      deafs.forEach(({ socket }) => socket.destroy());
    }
    assert.ok(server.alive);
    assert.ok(deafs.every(({ status }) => status === 200 || status === 503 || status === undefined), deafs.map(({ status }) => status).join());
    assert.ok(server.peak < 400, `${server.peak} MiB`);
  });
}
