// Who may do what on the wire, line by line: above all, a developer's token is never a person of the chat.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Frames } from '../../harness/frames.mjs';
import { Person, api, request, uuidv7 } from '../../harness/http.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';

let server, ana, ben, room;
before(async () => {
  server = await Server.start({ env: SECRETS });
  ana = await Person.setUp(server);
  ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
  room = ana.room.id;
});
after(() => server.kill());

const developer = (sub) => Frames.connect(server.websocketUrl, { token: tokenFor(sub) });

test('posting by rpc answers id, number and time, and everybody in the room sees who said it (3.12)', async () => {
  const [a, b] = [await Frames.person(ana), await Frames.person(ben)];
  await a.subscribe(`room:${room}`);
  await b.subscribe(`room:${room}`);
  const clientId = uuidv7();
  const { rpc } = await a.rpc('post', { room, client_id: clientId, body: 'hello' });
  assert.match(rpc.data.id, /^[0-9a-f-]{36}$/);
  const seen = await b.until('the message', (line) => line.push?.pub?.data?.type === 'message.posted' && line.push.pub);
  assert.equal(seen.offset, rpc.data.number);
  assert.equal(seen.data.number, rpc.data.number);
  assert.deepEqual(seen.data.message, {
    id: rpc.data.id, room, number: rpc.data.number, client_id: clientId, author: { id: ana.id, name: 'Ana' }, body: 'hello', time: rpc.data.time,
  });
  a.close();
  b.close();
});

test('publish to a room or to a person is 103, for its own member too', async () => {
  const a = await Frames.person(ana);
  for (const channel of [`room:${room}`, `user:${ana.id}`, `user:${ben.id}`, 'room:unknown']) {
    assert.equal((await a.ask({ publish: { channel, data: {} } })).error.code, 103, channel);
  }
  a.close();
});

test('typing passes through without a number and is stored nowhere (4.25)', async () => {
  const [a, b] = [await Frames.person(ana), await Frames.person(ben)];
  await b.subscribe(`room:${room}`);
  const before = await ana.events(room);
  assert.deepEqual((await a.rpc('typing', { room })).rpc.data, {});
  const seen = await b.until('typing', (line) => line.push?.pub?.data?.type === 'typing' && line.push.pub);
  assert.deepEqual(seen.data, { type: 'typing', person: { id: ana.id, name: 'Ana' } });
  assert.equal(seen.offset, undefined);
  assert.deepEqual(await ana.events(room), before);
  a.close();
  b.close();
});

test('a room that is unknown and a room that is not yours get the same answer (S40)', async () => {
  const theirs = await ana.createRoom('Only Ana');
  const b = await Frames.person(ben);
  const unknown = uuidv7();
  const answers = async (id) => [
    (await b.subscribe(`room:${id}`)).error,
    (await b.ask({ history: { channel: `room:${id}`, limit: 1 } })).error,
    (await b.ask({ presence: { channel: `room:${id}` } })).error,
    (await b.ask({ presence_stats: { channel: `room:${id}` } })).error,
    (await b.rpc('post', { room: id, client_id: uuidv7(), body: 'x' })).error,
    (await b.rpc('typing', { room: id })).error,
  ];
  const toUnknown = await answers(unknown);
  assert.deepEqual(await answers(theirs.id), toUnknown);
  assert.deepEqual(toUnknown.map((error) => error.code), Array(6).fill(103));
  const rest = async (id) => {
    const { status, json } = await ben.say(id, 'x');
    return [status, json.code, json.detail?.replaceAll(id, 'ID')];
  };
  assert.deepEqual(await rest(theirs.id), await rest(unknown));
  b.close();
});

test('user:<id> is that person\'s alone, and is given at connect', async () => {
  const a = await Frames.person(ana);
  assert.deepEqual(Object.keys(a.connected.subs), [`user:${ana.id}`]);
  assert.equal((await a.subscribe(`user:${ben.id}`)).error.code, 103);
  a.close();
});

test('a person\'s session gets only the namespaces of the chat', async () => {
  const a = await Frames.person(ana);
  assert.equal((await a.subscribe('news')).error.code, 103);
  assert.equal((await a.ask({ publish: { channel: 'news', data: 1 } })).error.code, 103);
  assert.equal((await a.ask({ history: { channel: 'news', limit: 1 } })).error.code, 103);
  assert.equal((await a.ask({ presence: { channel: 'news' } })).error.code, 103);
  a.close();
});

test('a token whose sub is a person\'s id is not that person: both namespaces answer 103', async () => {
  const forged = await developer(ana.id);
  assert.equal(forged.connected.subs, undefined);
  for (const channel of [`room:${room}`, `user:${ana.id}`]) {
    assert.equal((await forged.subscribe(channel)).error.code, 103, channel);
    assert.equal((await forged.ask({ publish: { channel, data: {} } })).error.code, 103, channel);
    assert.equal((await forged.ask({ history: { channel, limit: 10 } })).error.code, 103, channel);
    assert.equal((await forged.ask({ presence: { channel } })).error.code, 103, channel);
    assert.equal((await forged.ask({ presence_stats: { channel } })).error.code, 103, channel);
  }
  const before = await ana.events(room);
  const post = await forged.rpc('post', { room, client_id: uuidv7(), body: 'I am Ana' });
  assert.equal(post.error.code, 108, JSON.stringify(post));
  const typing = await forged.rpc('typing', { room });
  assert.equal(typing.error.code, 108, JSON.stringify(typing));
  assert.deepEqual(await ana.events(room), before);
  forged.close();
});

test('a token cannot have itself subscribed to the chat by the server, nor by a subscription token', async () => {
  const given = await Frames.open(server.websocketUrl);
  const reply = await given.ask({ connect: { token: tokenFor(ana.id, { channels: [`room:${room}`, `user:${ana.id}`] }) } });
  assert.ok(!reply.connect?.subs, JSON.stringify(reply));
  given.close();
  const forged = await developer(ana.id);
  const { error } = await forged.subscribe(`room:${room}`, { token: tokenFor(ana.id, { channel: `room:${room}` }) });
  assert.equal(error.code, 103);
  forged.close();
});

test('a token is no session: the chat\'s REST API answers 401', async () => {
  for (const headers of [{ authorization: `Bearer ${tokenFor(ana.id)}` }, { cookie: `tidings_session=${tokenFor(ana.id)}` }]) {
    assert.equal((await request(`${server.url}/v1/me`, { headers })).status, 401);
  }
});

test('a token in the connect command outranks no cookie: with a foreign Origin not even the cookie is heard (S01)', async () => {
  await assert.rejects(
    Frames.open(server.websocketUrl, { headers: { cookie: ana.cookie, origin: 'https://evil.example' } }),
    /403/,
  );
});

test('a cookie without an Origin does not make a person (S02)', async () => {
  let frames;
  try {
    frames = await Frames.open(server.websocketUrl, { headers: { cookie: ana.cookie } });
  } catch {
    return; // refused before the 101 is as good
  }
  frames.send({ id: 1, connect: {} });
  assert.equal((await frames.closed()).code, 3501);
});

test('from an allowed foreign origin a cookie makes nobody a person, and a token is heard (S02)', async (t) => {
  const origin = 'https://app.example.org';
  const own = await Server.start({ env: SECRETS, args: ['--allowed-origins', origin] });
  t.after(() => own.kill());
  const headers = { cookie: (await Person.setUp(own)).cookie, origin };
  const frames = await Frames.open(own.websocketUrl, { headers });
  frames.send({ id: 1, connect: {} });
  assert.equal((await frames.closed()).code, 3501);

  const dev = await Frames.connect(own.websocketUrl, { token: tokenFor('dev') }, { headers });
  await dev.subscribe('news');
  const { presence } = (await dev.ask({ presence: { channel: 'news' } })).presence;
  assert.deepEqual(Object.values(presence).map(({ user }) => user), ['dev'], 'and the cookie beside it is not');
  dev.close();
});

test('another channel is open to every valid token: subscribe, publish, history, presence', async () => {
  const dev = await developer('dev');
  assert.ok((await dev.subscribe('open', { recoverable: true })).subscribe.recoverable);
  assert.ok((await dev.ask({ publish: { channel: 'open', data: 1 } })).publish);
  assert.equal((await dev.ask({ history: { channel: 'open', limit: 10 } })).history.publications.length, 1);
  assert.equal(Object.keys((await dev.ask({ presence: { channel: 'open' } })).presence.presence).length, 1);
  dev.close();
});

test('the server API cannot speak for people: publish to the chat is refused', async () => {
  const before = await ana.events(room);
  const { json } = await api(server, 'publish', { channel: `room:${room}`, data: { type: 'message.posted' } });
  assert.ok(json.error?.code > 100, JSON.stringify(json));
  assert.deepEqual(await ana.events(room), before);
});
