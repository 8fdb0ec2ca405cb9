// One token publishes until the memory for history is full.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../../harness/frames.mjs';
import { api } from '../../harness/http.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';

/** Above the 256 MiB that all histories may take. */
const PUBLICATIONS = 5_500;
const ATTACK_MS = 120_000;

test('S17: one token that fills the history loses its own, and others recover', async (t) => {
  const server = await Server.start({ env: SECRETS, memory: 512 });
  t.after(() => server.stop());
  const ana = await Frames.connect(server.websocketUrl, { token: tokenFor('ana') });
  const { subscribe } = await ana.subscribe('of ana');
  ana.close();

  const large = 'x'.repeat(60_000);
  const token = tokenFor('mallory');
  const until = Date.now() + ATTACK_MS;
  let published = 0;
  await Promise.all(
    Array.from({ length: 6 }, async (_, socket) => {
      while (published < PUBLICATIONS && Date.now() < until) {
        const frames = await Frames.connect(server.websocketUrl, { token });
        for (let round = 0; published < PUBLICATIONS && frames.code === undefined; round += 1) {
          for (let n = 0; n < 9; n += 1) {
            frames.send({ id: 1_000 + n, publish: { channel: `large ${socket} ${round} ${n}`, data: large } });
          }
          const last = await frames.ask({ publish: { channel: `large ${socket} ${round}`, data: large } });
          const answers = frames.take();
          published += answers.filter((line) => line.publish).length + (last.publish ? 1 : 0);
          if (!last.publish) break;
        }
        frames.close();
      }
    }),
  );
  assert.ok(published >= PUBLICATIONS, `the attack came no further than ${published}`);
  // What is left is less than one of them: the smaller ones fill it.
  const last = await Frames.connect(server.websocketUrl, { token });
  for (const size of [6_000, 600, 60, 1]) {
    for (let n = 0; n < 60; n += 1) {
      await last.ask({ publish: { channel: `small ${size} ${n}`, data: 'x'.repeat(size) } });
    }
  }
  last.close();

  const again = await Frames.connect(server.websocketUrl, { token: tokenFor('ana') });
  await again.ask({ publish: { channel: 'of ana', data: 'quiet' } });
  const { json } = await api(server, 'publish', { channel: 'of the backend', data: 'kept' });
  assert.equal(json.result?.offset, 1);
  const { json: kept } = await api(server, 'history', { channel: 'of the backend', limit: 1 });
  t.diagnostic(`${published} publications of 60 kB, resident ${Math.round(server.peak)} MiB at most`);
  assert.equal(kept.result.publications.length, 1, 'what the backend publishes is kept');
  const resumed = await again.subscribe('of ana', { recover: true, offset: subscribe.offset ?? 0, epoch: subscribe.epoch });
  assert.equal(resumed.subscribe?.recovered, true, JSON.stringify(resumed));
  assert.equal(resumed.subscribe.publications.length, 1);
  again.close();
});
