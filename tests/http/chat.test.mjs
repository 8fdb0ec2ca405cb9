// The chat's REST API: people, rooms, invites and messages, and what each refuses.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { Person, request, uuidv7 } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';

let server, ana, ben, room;
before(async () => {
  server = await Server.start();
  ana = await Person.setUp(server);
  ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
  room = ana.room.id;
});
after(() => server.kill());

/** An answer's text but for its own name, which no other answer has. */
const withoutId = (answer) => answer.text.replace(/"request_id":"[0-9a-f]{32}"/, '"request_id":""');

test('the first account opens "General" as owner, with an invite; the next person lands in the same room', async () => {
  assert.equal(ana.room.name, 'General');
  assert.ok(ana.invite.url.includes(`/invite#${ana.invite.code}`));
  assert.equal(ben.room.id, room);
  assert.equal((await ana.get('/v1/me')).json.person.role, 'owner');
  assert.equal((await ben.get('/v1/me')).json.person.role, 'member');
  const { json } = await ana.get(`/v1/rooms/${room}/members`);
  assert.deepEqual(json.members.map((member) => member.name).sort(), ['Ana', 'Ben']);
});

test('an invite can be looked up without an account, and one that is unknown is 404', async () => {
  const { json: invite } = await ana.get(`/v1/rooms/${room}/invite`);
  const stranger = new Person(server);
  const found = await stranger.post('/v1/invites/look-up', { code: invite.code });
  assert.deepEqual([found.json.inviter.name, found.json.room.name], ['Ana', 'General']);
  const unknown = await stranger.post('/v1/invites/look-up', { code: 'nothing' });
  assert.equal(unknown.status, 404);
  const account = await stranger.post('/v1/accounts', { invite: 'nothing', name: 'Eve', email: 'eve@example.org', password: 'correct horse battery' });
  assert.equal(account.status, 404);
  assert.equal(account.json.code, 'invite_invalid');
});

test('renewing or revoking an invite kills the old one at once (S29)', async () => {
  const { json: old } = await ana.get(`/v1/rooms/${room}/invite`);
  const renewed = await ana.post(`/v1/rooms/${room}/invite`, {});
  assert.equal(renewed.status, 201);
  assert.notEqual(renewed.json.code, old.code);
  const stranger = new Person(server);
  assert.equal((await stranger.post('/v1/invites/look-up', { code: old.code })).status, 404);
  assert.equal((await ana.delete(`/v1/rooms/${room}/invite`)).status, 204);
  assert.equal((await stranger.post('/v1/invites/look-up', { code: renewed.json.code })).status, 404);
  const none = await ana.get(`/v1/rooms/${room}/invite`);
  assert.deepEqual([none.status, none.json.code], [404, 'no_invite'], 'reading makes none (S45)');
  assert.equal((await ben.put(`/v1/rooms/${room}/invite`, {})).status, 403, 'a revocation is undone by who may revoke');
  const { json: fresh } = await ana.put(`/v1/rooms/${room}/invite`, {});
  assert.equal((await ana.get(`/v1/rooms/${room}/invite`)).json.code, fresh.code);
  assert.equal((await stranger.post('/v1/invites/look-up', { code: fresh.code })).status, 200);
});

test('accounts are checked: name, e-mail, length of the password, common passwords (S25)', async () => {
  const { json: invite } = await ana.get(`/v1/rooms/${room}/invite`);
  const good = { invite: invite.code, name: 'Cy', email: 'cy@example.org', password: 'correct horse battery' };
  for (const wrong of [{ name: '' }, { name: 'x'.repeat(81) }, { email: 'no at sign' }, { password: 'short' }, { password: 'x'.repeat(1025) }]) {
    const answer = await new Person(server).post('/v1/accounts', { ...good, ...wrong });
    assert.equal(answer.status, 422, JSON.stringify(wrong));
    assert.equal(answer.json.errors[0].field, Object.keys(wrong)[0], answer.text);
  }
  const common = await new Person(server).post('/v1/accounts', { ...good, password: 'password123' });
  assert.equal(common.status, 422);
  assert.match(common.text, /password_common/);
  const taken = await new Person(server).post('/v1/accounts', { ...good, email: 'BEN@example.org' });
  assert.equal(taken.status, 409);
  assert.equal(taken.json.code, 'account_exists');
});

test('a wrong password and an unknown e-mail get the same answer (S26)', async () => {
  const someone = new Person(server);
  const wrong = await someone.signIn({ email: 'ben@example.org', password: 'not his password' });
  const unknown = await someone.signIn({ email: 'nobody@example.org', password: 'not his password' });
  assert.equal(wrong.status, 401);
  assert.equal(wrong.json.code, 'sign_in_failed');
  assert.deepEqual([unknown.status, withoutId(unknown)], [wrong.status, withoutId(wrong)]);
});

test('guessing a password is slowed down with 429 and Retry-After, for that account alone (S26)', async () => {
  const victim = await Person.invited(ana, { name: 'Vic', email: 'vic@example.org' });
  const guesser = new Person(server);
  let last;
  for (let n = 0; n < 60 && last?.status !== 429; n += 1) last = await guesser.signIn({ email: 'vic@example.org', password: `guess number ${n}` });
  assert.equal(last.status, 429);
  assert.ok(Number(last.headers['retry-after']) > 0, JSON.stringify(last.headers));
  assert.equal((await victim.get('/v1/me')).status, 200);
});

test('signing out ends that session and no other; sessions can be listed and revoked (S20, S23)', async () => {
  const phone = new Person(server);
  assert.equal((await phone.signIn({ email: ben.email, password: ben.password })).status, 201);
  const laptop = new Person(server);
  await laptop.signIn({ email: ben.email, password: ben.password });
  assert.notEqual(phone.cookie, laptop.cookie);
  assert.equal((await laptop.delete('/v1/session')).status, 204);
  assert.equal((await laptop.get('/v1/me')).status, 401);
  const { json } = await ben.get('/v1/sessions');
  const other = json.sessions.find((session) => !session.current);
  assert.equal((await ben.delete(`/v1/sessions/${other.id}`)).status, 204);
  assert.equal((await phone.get('/v1/me')).status, 401);
  assert.equal((await ben.get('/v1/me')).status, 200);
  assert.equal((await ana.delete(`/v1/sessions/${json.sessions.find((session) => session.current).id}`)).status, 404);
  assert.equal((await ben.get('/v1/me')).status, 200);
});

test('the cookie is HttpOnly and SameSite=Lax, plain over HTTP and __Host- with Secure behind HTTPS (S19)', async (t) => {
  const signedIn = await new Person(server).signIn({ email: ana.email, password: ana.password });
  const [cookie] = signedIn.headers['set-cookie'];
  for (const word of [/HttpOnly/i, /SameSite=Lax/i, /Path=\//i]) assert.match(cookie, word);
  assert.doesNotMatch(cookie, /Secure/i);
  const behindTls = await Server.start({ args: ['--public-url', 'https://chat.example.org'] });
  t.after(() => behindTls.kill());
  const code = await behindTls.setupCode();
  const answer = await new Person(behindTls).post(
    '/v1/setup', { code, name: 'Ana', email: 'ana@example.org', password: 'correct horse battery' }, { origin: 'https://chat.example.org', host: 'chat.example.org' },
  );
  assert.equal(answer.status, 201, answer.text);
  assert.match(answer.headers['set-cookie'][0], /^__Host-[^;]+;.*Secure/i);
  assert.ok(answer.json.invite.url.startsWith('https://chat.example.org/invite#'), answer.text);
});

test('rooms are created, listed, joined and left by whoever is signed in', async () => {
  const garden = await ana.createRoom('Garden', { topic: 'Peas' });
  assert.deepEqual([garden.name, garden.topic, garden.member, garden.members], ['Garden', 'Peas', true, 1]);
  const seen = (await ben.get('/v1/rooms')).json.rooms.find((one) => one.id === garden.id);
  assert.equal(seen.member, false);
  assert.equal((await ben.put(`/v1/rooms/${garden.id}/members/me`, {})).json.member, true);
  assert.equal((await ben.put(`/v1/rooms/${garden.id}/members/me`, {})).status, 200);
  assert.equal((await ben.say(garden.id, 'hi')).status, 201);
  assert.equal((await ben.delete(`/v1/rooms/${garden.id}/members/me`)).status, 204);
  assert.equal((await ben.say(garden.id, 'hi')).status, 404);
  const kinds = (await ana.events(garden.id)).map((event) => event.type);
  assert.deepEqual(kinds.filter((kind) => kind !== 'room.created'), ['member.joined', 'message.posted', 'member.left'].filter((kind) => kinds.includes(kind)));
  assert.deepEqual((await ana.events(garden.id)).map((event) => event.number), kinds.map((_, index) => index + 1));
  assert.equal((await ana.post('/v1/rooms', { name: 'x'.repeat(81) })).status, 422);
  assert.equal((await ana.post('/v1/rooms', { name: 'ok', topic: 'x'.repeat(251) })).status, 422);
});

test('only the creator or an administrator removes somebody from a room', async () => {
  const club = await ana.createRoom('Club');
  const cho = await Person.invited(ana, { name: 'Cho', email: 'cho@example.org' });
  for (const person of [ben, cho]) await person.put(`/v1/rooms/${club.id}/members/me`, {});
  assert.equal((await ben.delete(`/v1/rooms/${club.id}/members/${cho.id}`)).status, 403);
  assert.equal((await ana.delete(`/v1/rooms/${club.id}/members/${cho.id}`)).status, 204);
  assert.equal((await cho.say(club.id, 'still here?')).status, 404);
});

test('a message is answered with its id, number and time, and a repeat with the same (G2)', async () => {
  const clientId = uuidv7();
  const first = await ana.say(room, 'once', clientId);
  assert.equal(first.status, 201);
  assert.equal(first.headers.location, `/v1/rooms/${room}/messages/${first.json.id}`);
  const again = await ana.say(room, 'once', clientId);
  assert.equal(again.status, 200);
  assert.deepEqual(again.json, first.json);
  assert.equal((await ana.say(room, 'something else', clientId)).status, 409);
  const { json: message } = await ben.get(first.headers.location);
  assert.deepEqual(message, {
    id: first.json.id, room, number: first.json.number, client_id: clientId, author: { id: ana.id, name: 'Ana' }, body: 'once', time: first.json.time,
  });
});

test('a client id is its author\'s own: the same one of somebody else neither returns nor blocks (S41)', async () => {
  const clientId = uuidv7();
  const hers = await ana.say(room, 'mine', clientId);
  const his = await ben.say(room, 'mine', clientId);
  assert.equal(his.status, 201);
  assert.notEqual(his.json.id, hers.json.id);
});

test('an empty message is 422, one over 16 KiB of UTF-8 is 413 and the limit is named (bad input)', async () => {
  for (const body of ['', '   ', '\n\t ']) {
    const answer = await ana.say(room, body);
    assert.equal(answer.status, 422, JSON.stringify(body));
    assert.equal(answer.json.code, 'body_empty');
  }
  const control = await ana.say(room, 'nul \u0000 inside');
  assert.deepEqual([control.status, control.json.code], [422, 'body_control_character']);
  assert.equal((await ana.say(room, 'x'.repeat(16_384))).status, 201);
  for (const body of ['x'.repeat(16_385), 'é'.repeat(8_193)]) {
    const answer = await ana.say(room, body);
    assert.equal(answer.status, 413);
    assert.equal(answer.json.code, 'body_too_long');
    assert.match(answer.text, /16384|16,384|16 KiB/);
  }
  for (const wrong of ['not-a-uuid', '', 7, null]) {
    const answer = await ana.post(`/v1/rooms/${room}/messages`, { client_id: wrong, body: 'x' });
    assert.ok([400, 422].includes(answer.status), `${JSON.stringify(wrong)}: ${answer.status}`);
  }
  const surrogate = await ana.post(`/v1/rooms/${room}/messages`, `{"client_id":"${uuidv7()}","body":"\\ud800"}`);
  assert.ok([400, 422].includes(surrogate.status), `${surrogate.status}`);
  const invalid = await ana.post(`/v1/rooms/${room}/messages`, Buffer.concat([Buffer.from(`{"client_id":"${uuidv7()}","body":"`), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]));
  assert.ok([400, 422].includes(invalid.status), `${invalid.status}`);
});

test('history comes in pages, forwards and backwards, without a gap or a repeat (4.26)', async () => {
  const archive = await ana.createRoom('Archive');
  for (let n = 0; n < 25; n += 1) assert.equal((await ana.say(archive.id, `line ${n}`)).status, 201);
  const all = await ana.events(archive.id);
  assert.deepEqual(all.map((event) => event.number), all.map((_, index) => index + 1));
  const backwards = [];
  let before = '';
  for (;;) {
    const { json } = await ana.get(`/v1/rooms/${archive.id}/messages?limit=10${before && `&before=${before}`}`);
    backwards.unshift(...json.messages);
    if (!json.more) break;
    before = json.messages[0].number;
  }
  assert.deepEqual(backwards.map((message) => message.body), Array.from({ length: 25 }, (_, n) => `line ${n}`));
  const page = (await ana.get(`/v1/rooms/${archive.id}/events?after=3&limit=4`)).json;
  assert.deepEqual(page.events.map((event) => event.number), [4, 5, 6, 7]);
  assert.equal(page.more, true);
  assert.equal(page.offset, all.length);
  assert.ok(page.epoch.length > 0);
  for (const query of ['limit=0', 'limit=-1', 'limit=x', 'after=-1', 'before=x', 'before=1&after=1']) {
    const { status } = await ana.get(`/v1/rooms/${archive.id}/events?${query}`);
    assert.ok(status === 400 || status === 422 || status === 200, `${query}: ${status}`);
  }
});

test('a room that is unknown and one that is not yours get the same answer (S40)', async () => {
  const hers = await ana.createRoom('Hers');
  const unknown = uuidv7();
  for (const path of ['events', 'messages', `messages/${uuidv7()}`, 'members', 'invite']) {
    const [a, b] = [await ben.get(`/v1/rooms/${hers.id}/${path}`), await ben.get(`/v1/rooms/${unknown}/${path}`)];
    assert.equal(a.status, 404, `${path}: ${a.status}`);
    assert.deepEqual([a.status, withoutId(a).replaceAll(hers.id, 'ID')], [b.status, withoutId(b).replaceAll(unknown, 'ID')], path);
  }
});

test('without a session every route of the chat is 401, and nothing is told', async () => {
  const stranger = new Person(server);
  for (const [method, path] of [
    ['GET', '/v1/me'], ['GET', '/v1/rooms'], ['POST', '/v1/rooms'], ['GET', `/v1/rooms/${room}`], ['GET', `/v1/rooms/${room}/members`],
    ['PUT', `/v1/rooms/${room}/members/me`], ['DELETE', `/v1/rooms/${room}/members/me`], ['GET', `/v1/rooms/${room}/invite`], ['GET', `/v1/rooms/${room}/events`],
    ['GET', `/v1/rooms/${room}/messages`], ['POST', `/v1/rooms/${room}/messages`], ['GET', '/v1/sessions'], ['POST', '/v1/invites/accept'],
  ]) {
    const answer = await stranger.request(method, path, method === 'POST' || method === 'PUT' ? {} : undefined);
    assert.equal(answer.status, 401, `${method} ${path}: ${answer.status}`);
    assert.ok(!answer.text.includes('General'));
  }
  const forged = await request(`${server.url}/v1/me`, { headers: { cookie: ana.cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')) } });
  assert.equal(forged.status, 401);
});

test('signed in, an invite is accepted with its code', async () => {
  const den = await ana.createRoom('Den');
  const { json: invite } = await ana.get(`/v1/rooms/${den.id}/invite`);
  const answer = await ben.post('/v1/invites/accept', { code: invite.code });
  assert.equal(answer.status, 200);
  assert.equal(answer.json.room.id, den.id);
  assert.equal((await ben.say(den.id, 'hello')).status, 201);
});

test('marks go out as a tree beside the source, the same live, recovered, in pages and alone; what is plain has none', async () => {
  const { id } = await ana.createRoom('Marks');
  const channel = `room:${id}`;
  const socket = await Frames.person(ana);
  const { subscribe: start } = await socket.ask({ subscribe: { channel } });
  const posted = [];
  for (const body of ['so **it** is', 'and *not*\n  otherwise', 'plain\n\n  lines']) posted.push((await ana.say(id, body)).headers.location);
  const live = [];
  while (live.length < 3) {
    const { push } = await socket.next('a message');
    if (push?.pub?.data.type === 'message.posted') live.push(push.pub.data.message);
  }
  const [first, second, third] = live;
  assert.deepEqual([first.body, first.content], ['so **it** is', [{ type: 'p', content: ['so ', { type: 'strong', content: ['it'] }, ' is'] }]]);
  assert.deepEqual(second.content, [{ type: 'p', content: ['and ', { type: 'em', content: ['not'] }, '\n  otherwise'] }]);
  assert.deepEqual([third.body, 'content' in third], ['plain\n\n  lines', false]);
  const again = await Frames.person(ana);
  const { subscribe: recovered } = await again.ask({ subscribe: { channel, recover: true, offset: start.offset, epoch: start.epoch } });
  assert.deepEqual(recovered.publications.map((publication) => publication.data.message), live);
  assert.deepEqual((await ana.get(`/v1/rooms/${id}/messages`)).json.messages, live);
  assert.deepEqual((await ana.get(`/v1/rooms/${id}/events?after=${first.number - 1}`)).json.events.map((event) => event.message), live);
  assert.deepEqual(await Promise.all(posted.map(async (path) => (await ana.get(path)).json)), live);
});

test('answers and reactions: the same live, recovered and in pages, where each reader sees which reactions are theirs', async () => {
  const { id } = await ana.createRoom('Answers');
  assert.equal((await ben.put(`/v1/rooms/${id}/members/me`, {})).status, 200);
  const channel = `room:${id}`;
  const socket = await Frames.person(ana);
  const { subscribe: start } = await socket.ask({ subscribe: { channel } });
  const asked = (await ana.say(id, 'is it **done**?')).json;
  const path = `/v1/rooms/${id}/messages/${asked.id}`;
  const answer = await ben.post(`/v1/rooms/${id}/messages`, { client_id: uuidv7(), body: 'it is', reply_to: asked.id });
  assert.equal(answer.status, 201, answer.text);
  const heart = `${path}/reactions/${encodeURIComponent('❤')}`;
  assert.equal((await ben.put(heart, {})).status, 204);
  assert.equal((await ben.put(heart, {})).status, 204, 'once however often it is sent');
  const { rpc } = await socket.ask({ rpc: { method: 'react', data: { room: id, message: asked.id, emoji: '🎉' } } });
  assert.deepEqual(rpc.data, {});
  assert.equal((await ben.delete(heart)).status, 204);
  const live = [];
  while (live.at(-1)?.type !== 'reaction.removed') {
    const { push } = await socket.next('an event');
    if (push?.pub) live.push(push.pub.data);
  }
  const who = ({ id, name }) => ({ id, name });
  assert.deepEqual(live.map(({ type }) => type), ['message.posted', 'message.posted', 'reaction.added', 'reaction.added', 'reaction.removed']);
  assert.deepEqual(live[1].message.reply_to, { id: asked.id, number: asked.number, author: who(ana), text: 'is it done?' });
  assert.deepEqual(live[2].reaction, { message: asked.id, emoji: '❤️', person: who(ben) });
  const again = await Frames.person(ana);
  const { subscribe: recovered } = await again.ask({ subscribe: { channel, recover: true, offset: start.offset, epoch: start.epoch } });
  assert.deepEqual(recovered.publications.map(({ data }) => data), live);

  const reactions = async (person) => (await person.get(path)).json.reactions;
  assert.deepEqual(await reactions(ana), [{ emoji: '🎉', count: 1, mine: true, people: [who(ana)] }]);
  assert.deepEqual(await reactions(ben), [{ emoji: '🎉', count: 1, people: [who(ana)] }]);
  const { events } = (await ben.get(`/v1/rooms/${id}/events`)).json;
  assert.deepEqual(events.find(({ number }) => number === asked.number).message.reactions, await reactions(ben));
  assert.deepEqual((await ben.get(`${path}/reactions/${encodeURIComponent('🎉')}`)).json, { people: [who(ana)], more: false });

  const refused = async (answer, status, code) => assert.deepEqual([answer.status, answer.json.code ?? answer.json.errors?.[0].code], [status, code], answer.text);
  await refused(await ben.put(`${path}/reactions/no`, {}), 422, 'emoji_invalid');
  await refused(await ben.post(`/v1/rooms/${id}/messages`, { client_id: uuidv7(), body: 'x', reply_to: uuidv7() }), 422, 'nothing_to_answer');
  const cho = await Person.invited(ana);
  for (const answer of [await cho.put(heart, {}), await cho.get(heart), await cho.delete(heart)]) await refused(answer, 404, 'not_found');
});
