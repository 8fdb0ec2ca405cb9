// Posts that are sent without waiting for the answers to those before.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Frames } from '../../harness/frames.mjs';
import { Person, uuidv7 } from '../../harness/http.mjs';
import { Server } from '../../harness/server.mjs';

let server, ana, ben;
before(async () => {
  server = await Server.start({ env: { TIDINGS_RATE_LIMITS: 'false' } });
  ana = await Person.setUp(server);
  ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
});
after(() => server.kill());

const post = (room, body, clientId = uuidv7()) => ({ rpc: { method: 'post', data: { room, client_id: clientId, body } } });
const numbered = (commands) => commands.map((command, index) => ({ id: 10 + index, ...command }));
const said = (events) => events.filter((event) => event.type === 'message.posted').map((event) => event.message.body);

async function answers(socket, count) {
  const lines = [];
  while (lines.length < count) await socket.until('an answer', (line) => line.id && lines.push(line));
  return lines;
}

test('posts sent without waiting are numbered in the order sent and answered in order', async () => {
  const room = (await ana.createRoom('In order')).id;
  const socket = await Frames.person(ana);
  const commands = numbered(Array.from({ length: 100 }, (_, n) => post(room, `post ${n}`)));
  // Some frames of several commands, and many of one.
  socket.send(...commands.slice(0, 40));
  for (const command of commands.slice(40)) socket.send(command);
  const lines = await answers(socket, commands.length);
  assert.deepEqual(lines.map((line) => line.id), commands.map((command) => command.id));
  const numbers = lines.map((line) => line.rpc.data.number);
  assert.deepEqual(numbers, numbers.map((_, index) => numbers[0] + index));
  assert.deepEqual(said(await ana.events(room)), commands.map((command) => command.rpc.data.body));
  socket.close();
});

test('one that is refused in the middle is answered in its turn, and the others are posted', async () => {
  const room = (await ana.createRoom('With refusals')).id;
  const other = (await ana.createRoom('Not for Ben')).id;
  await ben.put(`/v1/rooms/${room}/members/me`, {});
  const before = (await ben.events(room)).length;
  const socket = await Frames.person(ben);
  const twice = uuidv7();
  socket.send(...numbered([
    post(room, 'one', twice),
    post(other, 'no member'),
    post(room, 'two'),
    post(room, ''),
    post(room, 'another text', twice),
    { rpc: { method: 'post' } },
    post(room, 'one', twice),
    post(room, 'three'),
  ]));
  const lines = await answers(socket, 8);
  assert.deepEqual(lines.map((line) => line.id), [10, 11, 12, 13, 14, 15, 16, 17]);
  const found = lines.map((line) => line.error?.code ?? line.rpc.data.number - before);
  assert.deepEqual(found, [1, 103, 2, 400, 409, 107, 1, 3]);
  assert.deepEqual(said(await ben.events(room)), ['one', 'two', 'three']);
  socket.close();
});

test('a command behind posts sees what they did, and its answer comes behind theirs', async () => {
  const room = (await ana.createRoom('Then history')).id;
  const socket = await Frames.person(ana);
  const history = { history: { channel: `room:${room}`, limit: 10 } };
  const subscribe = { subscribe: { channel: `room:${room}` } };
  socket.send(...numbered([post(room, 'one'), post(room, 'two'), history, post(room, 'three'), subscribe, post(room, 'four')]));
  const lines = await answers(socket, 6);
  assert.deepEqual(lines.map((line) => line.id), [10, 11, 12, 13, 14, 15]);
  assert.deepEqual(lines[2].history.publications.map(({ data }) => data.message?.body).slice(-2), ['one', 'two']);
  assert.equal(lines[4].subscribe.offset, lines[3].rpc.data.number, 'those before the subscribe are not pushed');
  socket.close();
});

test('who always has some posts on their way is read on, however much that is in all', async () => {
  const room = (await ana.createRoom('On and on')).id;
  const socket = await Frames.person(ana);
  const commands = numbered(Array.from({ length: 900 }, (_, n) => post(room, `${n} ${'x'.repeat(300)}`)));
  // More than run at once, and after a third of them more than may wait in all.
  socket.send(...commands.slice(0, 40));
  for (const [index, line] of Object.entries(await answering(socket, commands))) assert.equal(line.id, commands[index].id);
  assert.equal(said(await ana.events(room)).length, commands.length);
  socket.close();
});

/** Sends one more for each answer. */
async function answering(socket, commands) {
  const lines = [];
  while (lines.length < commands.length) {
    await socket.until('an answer', (line) => line.id && lines.push(line));
    const more = commands[lines.length + 39];
    if (more) socket.send(more);
  }
  return lines;
}

test('when the link is cut in the middle nothing that was answered is lost, and what is sent again is posted once', async () => {
  const room = (await ana.createRoom('Cut')).id;
  const messages = Array.from({ length: 200 }, (_, n) => ({ body: `post ${n}`, clientId: uuidv7() }));
  const commands = numbered(messages.map(({ body, clientId }) => post(room, body, clientId)));
  const socket = await Frames.person(ana);
  socket.send(...commands);
  const answered = await answers(socket, 20);
  socket.socket.terminate();
  const kept = (await ana.events(room)).filter((event) => event.type === 'message.posted');
  for (const { id, rpc } of answered) {
    const event = kept.find(({ number }) => number === rpc.data.number);
    assert.equal(event?.message.client_id, messages[id - 10].clientId);
  }
  const again = await Frames.person(ana);
  again.send(...commands);
  const lines = await answers(again, commands.length);
  assert.deepEqual(lines.slice(0, 20).map((line) => line.rpc), answered.map((line) => line.rpc), 'the first answer again');
  assert.deepEqual(said(await ana.events(room)), messages.map(({ body }) => body), 'each once, in the order in which they were sent');
  again.close();
});
