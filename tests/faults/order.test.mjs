// G3 and G4: one order for everybody, and a resume that has everything or says that it has not.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { Person, uuidv7 } from '../harness/http.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Reader } from '../harness/reader.mjs';
import { clientOf } from '../harness/sdk.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

test('g3_many_writers_and_readers_on_both_apis_see_one_order_without_gaps', async (t) => {
  const server = await Server.start();
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const room = ana.room.id;
  const people = [ana];
  while (people.length < 5) people.push(await Person.invited(ana));
  const readers = await Promise.all(people.map((person) => Reader.of(clientOf(t, person), person, room)));
  const sockets = await Promise.all(people.map((person) => Frames.person(person)));

  const writing = people.flatMap((person, p) => [
    (async () => { for (let n = 0; n < 40; n += 1) assert.equal((await person.say(room, `rest ${p} ${n}`)).status, 201); })(),
    (async () => { for (let n = 0; n < 40; n += 1) assert.ok((await sockets[p].rpc('post', { room, client_id: uuidv7(), body: `rpc ${p} ${n}` })).rpc); })(),
  ]);
  // Somebody who pages all the while, and somebody who enters half way.
  const pager = [];
  let done = false;
  const paging = (async () => {
    while (!done) {
      const page = await ana.events(room, { after: pager.at(-1)?.number ?? 0, limit: 7 });
      pager.push(...page);
    }
    pager.push(...(await ana.events(room, { after: pager.at(-1)?.number ?? 0 })));
  })();
  await Promise.all(writing);
  done = true;
  await paging;
  const late = await Reader.of(clientOf(t, ana), ana, room);

  const truth = await ana.events(room);
  assert.equal(truth.filter((event) => event.type === 'message.posted').length, 400);
  assert.deepEqual(truth.map((event) => event.number), truth.map((_, index) => index + 1));
  assert.deepEqual(pager, truth);
  for (const reader of [...readers, late]) {
    await reader.upTo(truth.length);
    assert.deepEqual(reader.shown, truth);
  }
  const { history } = await sockets[0].ask({ history: { channel: `room:${room}`, limit: 100, reverse: true } });
  assert.deepEqual(history.publications.map((publication) => publication.data).reverse(), truth.slice(-100));
  assert.equal(history.offset, truth.length);
  // Within one author and way, the order of sending is the order of the room.
  for (const way of ['rest', 'rpc']) {
    for (let p = 0; p < people.length; p += 1) {
      const own = truth.map((event) => event.message?.body).filter((body) => body?.startsWith(`${way} ${p} `));
      assert.deepEqual(own, Array.from({ length: 40 }, (_, n) => `${way} ${p} ${n}`));
    }
  }
  for (const socket of sockets) socket.close();
});

test('g4_cut_links_a_restart_and_more_than_a_page_missed_leave_no_hole_and_no_double', { timeout: 90_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.kill());
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const ana = await Person.setUp(server);
  const room = ana.room.id;
  const authors = [ana, await Person.invited(ana), await Person.invited(ana), await Person.invited(ana)];
  const readers = await Promise.all([ana, authors[1]].map((person) => Reader.of(clientOf(t, person, proxy.websocketUrl), person, room)));
  const post = async (count) => {
    const answers = await Promise.all(Array.from({ length: count }, (_, n) => authors[n % authors.length].say(room, `line ${n}`)));
    for (const answer of answers) assert.equal(answer.status, 201, answer.text);
    return Math.max(...answers.map((answer) => answer.json.number));
  };

  // Links that drop at any moment while everybody talks.
  const dropping = (async () => {
    for (let n = 0; n < 12; n += 1) {
      proxy.drop();
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
    }
  })();
  let top = 0;
  for (let n = 0; n < 15; n += 1) top = await post(4);
  await dropping;
  for (const reader of readers) await reader.upTo(top);
  const resumed = readers[0].resumed;
  assert.ok(resumed > 0, 'a short cut is resumed');

  // More than one recovery carries, with a restart in between.
  const paged = readers[0].paged;
  proxy.cut();
  await post(170);
  await server.restart();
  top = await post(190);
  proxy.restore();
  for (const reader of readers) await reader.upTo(top);
  assert.equal(readers[0].paged, paged + 1, 'it is told that it cannot resume, and pages');

  // A short cut over a restart is resumed: rooms keep their numbers.
  proxy.cut();
  await server.restart();
  top = await post(20);
  proxy.restore();
  for (const reader of readers) await reader.upTo(top);
  assert.ok(readers[0].resumed > resumed);
  assert.equal(readers[0].paged, paged + 1);

  const truth = await ana.events(room);
  for (const reader of readers) assert.deepEqual(reader.shown, truth);
});

test('a client that resumes with an epoch of another life of the room is told that it cannot', async (t) => {
  const server = await Server.start();
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  await ana.say(ana.room.id, 'one');
  const socket = await Frames.person(ana);
  const { subscribe } = await socket.subscribe(`room:${ana.room.id}`, { recover: true, offset: 1, epoch: 'another' });
  assert.equal(subscribe.was_recovering, true);
  assert.equal(subscribe.recovered, undefined);
  assert.ok(subscribe.offset >= 1);
  await until('an epoch is named', () => subscribe.epoch.length > 0 && subscribe.epoch !== 'another');
  socket.close();
});
