// One token makes up channels until there is no room for anybody's.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { api } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';

const ATTACK_MS = 8_000;

/** Sockets of one user that each run `attack(frames, number)` again and again until the time is over or they are closed. */
async function flood(server, sockets, attack) {
  const until = Date.now() + ATTACK_MS;
  const token = tokenFor('mallory');
  await Promise.all(
    Array.from({ length: sockets }, async (_, number) => {
      while (Date.now() < until) {
        const frames = await Frames.connect(server.websocketUrl, { token }).catch(() => undefined);
        if (frames === undefined) return;
        for (let round = 0; Date.now() < until && frames.code === undefined; round += 1) {
          if (!(await attack(frames, `${number} ${round} ${Math.random()}`))) break;
        }
        frames.close();
      }
    }),
  );
}

/** A thousand commands in frames; whether the socket may go on. */
async function commands(frames, make) {
  for (let frame = 0; frame < 5; frame += 1) {
    frames.send(...Array.from({ length: 50 }, (_, n) => ({ id: 1_000 + frame * 50 + n, ...make(`${frame} ${n}`) })));
  }
  const last = await frames.ask({ unsubscribe: { channel: 'x' } });
  frames.take();
  return last.closed === undefined && last.error === undefined;
}

test('S17: one token that makes up channels shuts out neither the backend nor others', async (t) => {
  const server = await Server.start({ env: SECRETS, memory: 512 });
  t.after(() => server.stop());
  const ana = await Frames.connect(server.websocketUrl, { token: tokenFor('ana') });
  await ana.ask({ publish: { channel: 'quiet', data: 1 } });
  const before = await ana.ask({ history: { channel: 'quiet', limit: 1 } });

  await flood(server, 105, (frames, name) =>
    commands(frames, (n) => ({ publish: { channel: `made up ${name} ${n}`, data: 1 } })));

  const { json: info } = await api(server, 'info', {});
  t.diagnostic(`channels ${info.result.nodes[0].num_channels}, resident ${Math.round(server.peak)} MiB at most`);
  const { json } = await api(server, 'publish', { channel: 'of the backend', data: 1 });
  assert.equal(json.result?.offset, 1, JSON.stringify(json));
  assert.ok((await ana.subscribe('fresh')).subscribe, 'others get channels too');
  const after = await ana.ask({ history: { channel: 'quiet', limit: 1 } });
  assert.deepEqual(after.history, before.history, 'and what was quiet is still there');
  assert.ok(server.peak < 400, `${server.peak} MiB`);
  ana.close();
});
