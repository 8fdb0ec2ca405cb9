// People and rooms as the operator, their names and a crowd have them: deactivation, devices, names, pages, quotas, the log.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { Person, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until, within } from '../harness/wait.mjs';

let server, ana, room;
before(async () => {
  server = await Server.start({ args: ['--rate-limits', 'false'] });
  ana = await Person.setUp(server);
  room = ana.room.id;
});
after(() => server.kill());

const cookies = (answer) => (answer.headers['set-cookie'] ?? []);
const security = () => server.stderr.split('\n').filter((line) => line.includes('"tidings::security"')).map((line) => JSON.parse(line));

test('S21 deactivate ends sessions and sockets within about two seconds, and sign-in; activate gives it back', async (t) => {
  const ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
  await ben.say(room, 'before');
  const invite = (await ben.get(`/v1/rooms/${(await ben.createRoom("Ben's")).id}/invite`)).json;
  const socket = await Frames.person(ben);
  const closed = socket.until('it is closed', (line) => line.closed);
  const done = await server.cli('user', 'deactivate', 'BEN@example.org');
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /Ben cannot sign in any more/);
  const start = performance.now();
  assert.equal(await within(5_000, 'the socket is closed', closed), 3503);
  const took = performance.now() - start;
  t.diagnostic(`the socket was closed ${took.toFixed(0)} ms after the command ended`);
  assert.ok(took < 3_000, `${took} ms: two seconds, and one for a busy machine`);
  assert.equal((await ben.get('/v1/me')).status, 401);
  const refused = await new Person(server).signIn({ email: ben.email, password: ben.password });
  assert.deepEqual([refused.status, refused.json.code], [401, 'sign_in_failed'], 'as with a wrong password');
  assert.equal((await new Person(server).post('/v1/invites/look-up', { code: invite.code })).status, 404, 'nor do their invites work');
  assert.ok((await ana.events(room)).some((event) => event.message?.body === 'before'), 'what they wrote stays');
  assert.match((await server.cli('user', 'list')).stdout, /^ben@example\.org\tmember\tBen\t[0-9a-f-]{36}\tdeactivated$/m);

  assert.equal((await server.cli('user', 'activate', 'ben@example.org')).code, 0);
  assert.equal((await ben.signIn()).status, 201);
  const nobody = await server.cli('user', 'deactivate', 'nobody@example.org');
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /nobody has an account with nobody@example\.org/);
  const late = await server.cli('user', 'password', 'nobody@example.org');
  assert.match(late.stderr, /nobody has an account/, 'who is meant is asked before the password');
});

test('the last owner is not deactivated (S44), and what is so already is told and not done again', async (t) => {
  const own = await Server.start();
  t.after(() => own.kill());
  const ana = await Person.setUp(own);
  const { email } = ana;
  const cli = async (...args) => Object.values(await own.cli('user', ...args, email)).join('\n');
  assert.match(await cli('activate'), /Ana is active already; nothing was changed/);
  assert.match(await cli('deactivate'), /no other owner who may sign in; make somebody else one first/);
  const ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
  assert.match(Object.values(await own.cli('user', 'role', ben.email, 'owner')).join('\n'), /Ben is owner from now on/);
  const gone = await cli('deactivate');
  assert.match(gone, /was deactivated on the command line/);
  const again = await cli('deactivate');
  assert.match(again, /Ana is deactivated already; nothing was changed/);
  assert.doesNotMatch(again, /command line|No administrator/);
  assert.match(await cli('activate'), /Ana can sign in again/);
});

test('S20 signing in ends the session whose cookie came along, and its sockets', async () => {
  const before = ana.cookie;
  const socket = await Frames.person(ana);
  const closed = socket.until('it is closed', (line) => line.closed);
  assert.equal((await ana.signIn()).status, 201);
  assert.equal(await within(5_000, 'the socket is closed', closed), 3503);
  assert.equal((await new Person(server, before).get('/v1/me')).status, 401);
  assert.equal((await ana.get('/v1/me')).status, 200);
});

test('S19 signing in leaves a device cookie of its own, HttpOnly and SameSite=Lax, __Host- behind HTTPS; signing out keeps it', async (t) => {
  const answer = await new Person(server).signIn({ email: ana.email, password: ana.password });
  const device = cookies(answer).find((cookie) => cookie.startsWith('tidings-device='));
  for (const word of [/HttpOnly/, /SameSite=Lax/, /Path=\//]) assert.match(device, word);
  const out = await new Person(server, cookies(answer)[0].split(';')[0]).delete('/v1/session');
  assert.deepEqual(cookies(out).map((cookie) => cookie.split('=')[0]), ['tidings']);
  const nobody = await request(`${server.url}/v1/me`, { headers: { cookie: device.split(';')[0] } });
  assert.equal(nobody.status, 401, 'it opens nothing');

  const behindTls = await Server.start({ args: ['--public-url', 'https://chat.example.org'] });
  t.after(() => behindTls.kill());
  const headers = { origin: 'https://chat.example.org', host: 'chat.example.org' };
  const account = { code: await behindTls.setupCode(), name: 'Ana', email: 'ana@example.org', password: 'correct horse battery' };
  const setUp = await new Person(behindTls).post('/v1/setup', account, headers);
  assert.match(cookies(setUp)[1], /^__Host-tidings-device=[^;]+;.*Secure/);
});

test('S26 a session without a device cookie that counts gets one with GET /v1/me, once', async () => {
  const person = new Person(server);
  const known = cookies(await person.signIn({ email: ana.email, password: ana.password }))[1].split(';')[0];
  const [device, ...rest] = cookies(await person.get('/v1/me'));
  assert.match(device, /^tidings-device=[^;]+;.*HttpOnly; SameSite=Lax; Max-Age=\d+/);
  assert.deepEqual(rest, [], 'the session stays as it is');
  const forged = `${known.slice(0, -2)}AA`;
  for (const [shown, count] of [[known, 0], [device.split(';')[0], 0], [forged, 1]]) {
    const answer = await person.get('/v1/me', { cookie: `${person.cookie}; ${shown}` });
    assert.deepEqual([answer.status, cookies(answer).length], [200, count], shown);
  }
  assert.deepEqual(cookies(await new Person(server).get('/v1/me')), [], 'nobody gets none');
});

test('names have nothing in them that cannot be seen, and a new room has a name of its own', async () => {
  for (const [name, code] of [['Gen\u200beral', 'name_invisible_character'], ['\u3164', 'name_empty'], ['Ana\u202e', 'name_control_character']]) {
    const answer = await ana.post('/v1/rooms', { name });
    assert.deepEqual([answer.status, answer.json.code], [422, code], name);
  }
  for (const name of ['general', 'GENERAL', 'Ｇｅｎｅｒａｌ']) {
    const answer = await ana.post('/v1/rooms', { name });
    assert.deepEqual([answer.status, answer.json.code, answer.json.errors[0].field], [409, 'room_name_taken', 'name'], name);
  }
  assert.equal((await ana.createRoom('Genera1')).same_name, true, 'one that only looks like it is marked');
  assert.equal((await ana.createRoom('👩‍👩‍👧‍👦 علی‌رضا')).same_name, undefined);

  const [one, other] = [await Person.invited(ana, { name: 'Anna' }), await Person.invited(ana, { name: 'ANNA' })];
  const { json } = await ana.get(`/v1/rooms/${room}/members`);
  const marked = json.members.filter((member) => member.same_name).map((member) => member.id);
  assert.deepEqual(marked.sort(), [one.id, other.id].sort());
  await one.say(room, 'which Anna?');
  const author = (await ana.events(room)).at(-1).message.author;
  assert.deepEqual(author, { id: one.id, name: 'Anna', same_name: true });
});

test('the list of rooms has all of one\'s own first, and the others page by page without a gap', async () => {
  const cho = await Person.invited(ana, { name: 'Cho' });
  for (let n = 0; n < 7; n += 1) await ana.createRoom(`Page ${n}`);
  const own = await cho.createRoom('Zzz, of her own');
  const first = await cho.get('/v1/rooms?limit=3');
  assert.deepEqual(first.json.rooms.map((one) => one.member), [true, true, false, false, false]);
  assert.equal(first.json.rooms[1].id, own.id);
  const seen = first.json.rooms.map((one) => one.id);
  for (let page = first; page.json.more; seen.push(...page.json.rooms.map((one) => one.id))) {
    page = await cho.get(`/v1/rooms?limit=3&after=${seen.at(-1)}`);
    assert.ok(page.json.rooms.length > 0 && page.json.rooms.every((one) => !one.member));
  }
  const all = (await ana.get('/v1/rooms?limit=200')).json.rooms.map((one) => one.id);
  assert.deepEqual([...seen].sort(), all.sort());
  assert.equal((await cho.get('/v1/rooms?after=nothing')).status, 400);
});

test('S50 the security log tells who did what from where, and holds no secret and nothing that was typed', async () => {
  const dan = await Person.invited(ana, { name: 'Dan', email: 'dan@example.org' });
  await new Person(server).signIn({ email: 'dan@example.org', password: 'my secret\u001b[31m guess' });
  await new Person(server).signIn({ email: 'typed-into-the-wrong-field@example.org', password: 'whatever it is' });
  await dan.signIn();
  const token = dan.cookie.split('=')[1];
  await ana.delete(`/v1/rooms/${room}/members/${dan.id}`);
  await dan.delete('/v1/session');
  await request(`${server.url}/api/info`, { method: 'POST', headers: { 'x-api-key': 'wrong' }, body: '{}' });
  await request(`${server.url}/api/info`, { method: 'POST', headers: { 'x-api-key': server.readFile('api-key').trim() }, body: '{}' });
  const told = (words, more = {}) => security().some((line) => line.message.includes(words) && Object.entries(more).every(([key, value]) => line[key] === value));
  await until('the last line is there', () => told('with this key from here', { address: '127.0.0.1', key: 'api-key' }));
  assert.ok(told('an account was made by invite', { person: dan.id }));
  assert.ok(told('a sign-in failed', { person: dan.id, address: '127.0.0.1' }));
  assert.ok(told('a sign-in failed', { person: 'nobody' }));
  assert.ok(told('signed in', { person: dan.id }));
  assert.ok(told('a member was removed', { person: dan.id, by: ana.id, room }));
  assert.ok(told('a session was ended', { person: dan.id }));
  assert.ok(told('without its key'));
  const log = JSON.stringify(security());
  for (const typed of ['secret', 'typed-into', 'example.org', 'Dan', 'whatever', token]) assert.ok(!log.includes(typed), typed);
});

test('S65 every problem has a name, in the body and in a header', async () => {
  const answers = [await ana.get('/v1/rooms/nothing'), await new Person(server).get('/v1/me'), await ana.post('/v1/rooms', 'not json'), await ana.get('/nowhere-at-all/x')];
  const ids = answers.slice(0, 3).map(({ json, headers }) => {
    assert.match(json.request_id, /^[0-9a-f]{32}$/);
    assert.equal(headers['x-request-id'], json.request_id);
    return json.request_id;
  });
  assert.equal(new Set(ids).size, 3);
  const key = { 'x-api-key': server.readFile('api-key').trim() };
  for (const [method, headers, body] of [['info', {}, '{}'], ['nothing', key, '{}'], ['publish', key, 'no json']]) {
    const answer = await request(`${server.url}/api/${method}`, { method: 'POST', headers, body });
    assert.match(answer.headers['x-request-id'], /^[0-9a-f]{32}$/, `${method} ${answer.status}`);
  }
});
