// A full disk: what takes rights away goes through, by the room that is kept for it; everything else is told, and waits.

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { fill, smallDisk } from '../harness/disk.mjs';
import { Frames } from '../harness/frames.mjs';
import { Person, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

const MIB = 1 << 20;

test('g5_on_a_full_disk_posts_are_refused_and_rights_are_taken_away_all_the_same', { timeout: 120_000 }, async (t) => {
  const dataDir = smallDisk(t, 40);
  if (!dataDir) return t.skip('a small disk needs root and mount');
  const server = await Server.start({ dataDir, database: 'sqlite', config: 'rate_limits = false\n' });
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const room = ana.room.id;
  const people = [];
  for (let n = 0; n < 20; n += 1) people.push(await Person.invited(ana));
  const [ben, eva, dan] = people;
  const reserve = () => statSync(join(dataDir, 'reserve')).size;
  assert.equal(reserve(), 8 * MIB);
  assert.equal((await request(`${server.url}/readyz`)).status, 200);

  const disk = fill(dataDir);
  const body = 'x'.repeat(15_000);
  let posts = 0;
  let refused;
  do {
    const answers = await Promise.all(people.slice(3).map((person) => person.say(room, body)));
    posts += answers.length;
    refused = answers.every(({ status }) => status === 507);
    assert.ok(posts < 5_000, 'the disk never fills up');
  } while (!refused);
  const ready = await until('it says so', async () => {
    await ana.say(room, body);
    const answer = await request(`${server.url}/readyz`);
    return answer.status === 503 && answer;
  });
  assert.match(ready.text, /commits fail: the disk is full/);

  // Rights are taken away: sockets close, sessions end, a member is out.
  const socket = await Frames.person(eva);
  assert.equal((await ben.delete('/v1/session')).status, 204);
  assert.equal((await ben.get('/v1/me')).status, 401);
  assert.equal((await ana.delete(`/v1/rooms/${room}/members/${dan.id}`)).status, 204);
  assert.equal((await dan.get(`/v1/rooms/${room}/events`)).status, 404);
  const password = await server.cliWithInput('correct horse battery 2\n', 'user', 'password', eva.email);
  assert.equal(password.code, 0, password.stderr);
  await socket.closed();
  assert.equal((await eva.get('/v1/me')).status, 401);
  for (const person of people.slice(3)) assert.equal((await person.delete('/v1/session')).status, 204);

  // Nobody else gets the room that was given away for that.
  // Where all of it is there again, what was taken away has made room for short ones, and that is said too.
  if (reserve() < 8 * MIB) {
    assert.equal((await ana.say(room, 'a short one')).status, 507);
    assert.equal((await request(`${server.url}/readyz`)).status, 503);
  }
  const lines = server.stderr.split('\n').filter((line) => /writes failed/.test(line)).length;
  t.diagnostic(`${posts} posts, ${lines} lines in the log, ${(reserve() / MIB).toFixed(1)} MiB of the reserve left`);
  assert.ok(lines >= 1 && lines < 20, `${lines} lines for ${posts} posts`);

  // After a restart in that state it is the same.
  await server.restart();
  assert.equal((await ana.get('/v1/me')).status, 200);

  // And also when not even the log of the database has room any more.
  await server.stop();
  fill(dataDir);
  await server.start();
  assert.equal((await request(`${server.url}/readyz`)).status, 503);
  assert.equal((await ana.delete(`/v1/rooms/${room}/members/${eva.id}`)).status, 204);
  assert.equal((await ana.say(room, 'a short one')).status, 507);

  disk.free();
  await until('there is room again', async () => (await request(`${server.url}/readyz`)).status === 200);
  assert.equal((await ana.say(room, 'there is room again')).status, 201);
  assert.equal(reserve(), 8 * MIB);
  const events = await ana.events(room);
  assert.deepEqual(events.map((event) => event.number), events.map((_, index) => index + 1));
});

test('g5_on_a_disk_that_another_program_keeps_full_the_reserve_lasts_for_many_revocations', { timeout: 60_000 }, async (t) => {
  const dataDir = smallDisk(t, 24);
  if (!dataDir) return t.skip('a small disk needs root and mount');
  const server = await Server.start({ dataDir, database: 'sqlite', config: 'rate_limits = false\n' });
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const people = [];
  for (let n = 0; n < 20; n += 1) people.push(await Person.invited(ana));
  fill(dataDir);
  let status;
  for (let n = 0; status !== 507; n += 1) {
    assert.ok(n < 1_000, 'the disk never fills up');
    ({ status } = await ana.say(ana.room.id, 'x'.repeat(4_000)));
  }
  for (const person of people) {
    assert.equal((await person.delete('/v1/session')).status, 204);
    fill(dataDir);
    assert.equal((await ana.delete(`/v1/rooms/${ana.room.id}/members/${person.id}`)).status, 204);
    fill(dataDir);
  }
  const left = statSync(join(dataDir, 'reserve')).size;
  t.diagnostic(`${people.length * 2} revocations took ${((8 * MIB - left) / 1024).toFixed(0)} KiB of the reserve`);
  assert.ok(left > 4 * MIB, `${left} bytes are left`);
});
