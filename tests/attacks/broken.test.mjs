// S14 and S16: clients that ask for more than may wait, and clients whose sockets break at the worst moment.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { Person, request, uuidv7 } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';
import { until } from '../harness/wait.mjs';

const SOCKETS = 200;

test('s16_who_sends_more_than_may_wait_is_answered_and_heard_again', async (t) => {
  const server = await Server.start({ args: ['--rate-limits', 'false'] });
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const post = (body) => ({ method: 'post', data: { room: ana.room.id, client_id: uuidv7(), body } });
  for (const [count, bytes] of [[40, 4_096], [600, 100]]) {
    const frames = await Frames.person(ana);
    const answers = await Promise.all(Array.from({ length: count }, () => frames.ask({ rpc: post('x'.repeat(bytes)) })));
    assert.ok(answers.every((answer) => answer.rpc), JSON.stringify(answers.find((answer) => !answer.rpc)));
    const later = await frames.ask({ rpc: post('one more') });
    assert.ok(later.rpc, JSON.stringify(later));
    frames.close();
  }
});

test('s14_sockets_that_break_the_protocol_and_reset_while_they_are_answered_leave_nothing_behind', async (t) => {
  const server = await Server.start({ env: SECRETS });
  t.after(() => server.kill());
  const open = async () => {
    const { text } = await request(`${server.url}/metrics`, { headers: { 'x-api-key': server.apiKey } });
    return Number(text.match(/^tidings_connections (\S+)$/m)[1]);
  };
  for (let n = 0; n < SOCKETS; n += 1) {
    const frames = await Frames.connect(server.websocketUrl, { token: tokenFor(`user-${n % 20}`) });
    frames.send('{"id":2,"unsubscribe":{"channel":"x"}}\nno command');
    frames.socket._socket.resetAndDestroy();
  }
  await until('all are gone', async () => (await open()) === 0, { timeout: 5_000 });
});
