// A payload that the readers of a stock SDK cannot read: every recovery would bring it back and cut them off again.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { api, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';

const NUMBER = '9'.repeat(5_000);

/** A command by hand: JSON.stringify would write the number in another way. */
async function ask(frames, id, command) {
  frames.send(`{"id":${id},${command}}`);
  return frames.until(`the answer to ${id}`, (line) => (line.id === id || line.closed !== undefined ? line : undefined));
}

test('a number of 5,000 digits is error 107 of its command, on every way in, and reaches nobody', async (t) => {
  const server = await Server.start({ env: SECRETS });
  t.after(() => server.stop());
  const [ana, bea] = await Promise.all(
    ['ana', 'bea'].map((sub) => Frames.connect(server.websocketUrl, { token: tokenFor(sub) })),
  );
  await bea.subscribe('news');
  for (const [id, command] of [
    `"publish":{"channel":"news","data":${NUMBER}}`,
    `"publish":{"channel":"news","data":{"deep":[${NUMBER}]}}`,
    `"rpc":{"method":"m","data":${NUMBER}}`,
    `"subscribe":{"channel":"other","data":${NUMBER}}`,
  ].entries()) {
    const answer = await ask(ana, 100 + id, command);
    assert.equal(answer.error?.code, 107, `${command.slice(0, 40)}: ${JSON.stringify(answer).slice(0, 200)}`);
  }
  ana.send(`{"send":{"data":${NUMBER}}}`);

  const call = (method, body) =>
    request(`${server.url}/api/${method}`, { method: 'POST', headers: { 'x-api-key': server.apiKey }, body });
  for (const [method, channels] of [['publish', '"channel":"news"'], ['broadcast', '"channels":["news"]']]) {
    const answer = await call(method, `{${channels},"data":[${NUMBER}]}`);
    assert.equal(answer.json?.error?.code, 107, `${method}: ${answer.status} ${answer.text.slice(0, 200)}`);
  }

  const stranger = await Frames.open(server.websocketUrl);
  stranger.send(`{"id":1,"connect":{"token":"${tokenFor('eve')}","data":${NUMBER}}}`);
  assert.equal((await stranger.next()).error?.code, 107);

  // Nothing of it was delivered or kept, and who sent it goes on.
  assert.deepEqual(await ana.ask({ publish: { channel: 'news', data: null } }).then(({ publish }) => publish), {});
  const first = await bea.until('the next publication', (line) => line.push?.pub);
  assert.deepEqual([first.data, first.offset], [null, 1], 'null is a value');
  const { json } = await api(server, 'history', { channel: 'news', limit: -1 });
  assert.equal(json.result.publications.length, 1);
  for (const frames of [ana, bea, stranger]) frames.close();
});
