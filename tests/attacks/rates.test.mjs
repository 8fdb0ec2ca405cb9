// Allowances that a new connection does not renew: coming and going, asking for history, connecting.

import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { api, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';
import { until } from '../harness/wait.mjs';

const ATTACK_MS = 6_000;
const BEHIND_A_PROXY = { env: SECRETS, args: ['--trusted-proxies', '127.0.0.1/32'] };

const from = (address) => ({ headers: { 'x-forwarded-for': address } });

test('S63: two sockets that toggle a subscription cost a hundred listeners little', async (t) => {
  const server = await Server.start({ env: SECRETS });
  t.after(() => server.stop());
  let heard = 0;
  const listeners = await Promise.all(
    Array.from({ length: 100 }, (_, n) => Frames.connect(server.websocketUrl, { token: tokenFor(`listener ${n}`) })),
  );
  for (const listener of listeners) {
    await listener.subscribe('news', { join_leave: true });
    listener.socket.on('message', (data) => (heard += data.toString().split('"push"').length - 1));
  }
  const token = tokenFor('mallory');
  const until = Date.now() + ATTACK_MS;
  const toggle = async () => {
    while (Date.now() < until) {
      const frames = await Frames.connect(server.websocketUrl, { token }).catch(() => undefined);
      if (frames === undefined) continue;
      while (Date.now() < until && frames.code === undefined) {
        const commands = Array.from({ length: 100 }, (_, n) => ({
          id: 1_000 + n,
          [n % 2 ? 'unsubscribe' : 'subscribe']: { channel: 'news' },
        }));
        frames.send(...commands);
        const last = await frames.ask({ unsubscribe: { channel: 'x' } });
        const refused = frames.take().some((line) => line.error?.code === 111);
        // A new connection had a new allowance.
        if (last.closed !== undefined || last.error || refused) break;
      }
      frames.close();
    }
  };
  await Promise.all([toggle(), toggle()]);
  const perSecond = Math.round(heard / (ATTACK_MS / 1_000));
  t.diagnostic(`join and leave frames a second: ${perSecond}, in all ${heard}`);
  // A burst of 200,000 and 20,000 a second until it is used up; from then on one a second for each that toggles.
  assert.ok(heard <= 200_000 + 20_000 * (ATTACK_MS / 1_000 + 2), `${heard}`);
  // Somebody else comes, and is told of.
  const ana = await Frames.connect(server.websocketUrl, { token: tokenFor('ana') });
  for (const listener of listeners) listener.take();
  await ana.subscribe('news');
  await listeners[0].until('the join of somebody else', (line) => line.push?.join?.info.user === 'ana');
  for (const frames of [...listeners, ana]) frames.close();
});

test('S63: twenty sockets that ask for history do not take the machine', async (t) => {
  const server = await Server.start({ env: SECRETS });
  t.after(() => server.stop());
  for (let n = 0; n < 100; n += 1) await api(server, 'publish', { channel: 'news', data: 'x'.repeat(9_000) });
  const token = tokenFor('mallory');
  const until = Date.now() + ATTACK_MS;
  const cpu = server.cpu;
  let [read, refused] = [0, 0];
  const ask = async () => {
    const frames = await Frames.connect(server.websocketUrl, { token });
    while (Date.now() < until && frames.code === undefined) {
      const answer = await frames.ask({ history: { channel: 'news', limit: -1 } });
      if (answer.history) read += answer.history.publications.length;
      // As one who waits no longer than it must.
      else refused += (await new Promise((resolve) => setTimeout(resolve, 5)), 1);
    }
    frames.close();
  };
  await Promise.all(Array.from({ length: 20 }, ask));
  const mib = (read * 9_000) / 2 ** 20;
  t.diagnostic(`${Math.round(mib)} MiB read, ${refused} refused, ${(server.cpu - cpu).toFixed(1)} s on a processor in ${ATTACK_MS / 1_000} s`);
  assert.ok(mib <= 64 + 4 * (ATTACK_MS / 1_000) + 20, `${mib} MiB`);
  assert.ok(refused > 0);
  const ana = await Frames.connect(server.websocketUrl, { token: tokenFor('ana') });
  assert.equal((await ana.ask({ history: { channel: 'news', limit: -1 } })).history.publications.length, 100);
  ana.close();
});

test('S15: of each proxy on this machine that nobody believes it is said so, once, and its clients come in', async (t) => {
  const server = await Server.start({ env: SECRETS });
  t.after(() => server.stop());
  const local = await Frames.connect(server.websocketUrl, { token: tokenFor('backend') });
  assert.doesNotMatch(server.output, /trusted_proxies/);
  for (const name of ['ana', 'bea']) {
    const frames = await Frames.connect(server.websocketUrl, { token: tokenFor(name) }, from('198.51.100.7'));
    assert.ok((await frames.subscribe('news')).subscribe);
    frames.close();
  }
  await until('the warning', () => server.output.includes('trusted_proxies'));
  const agent = new http.Agent({ localAddress: '127.0.0.2' });
  for (let n = 0; n < 2; n += 1) await request(`${server.url}/`, { agent, ...from('198.51.100.7') });
  await until('that of the other', () => server.output.includes('--trusted-proxies 127.0.0.2'));
  assert.equal(server.output.split('not in trusted_proxies').length, 3, 'one for each');
  local.close();
});

test('S15: who connects again and again is refused by name, and the fresh names of one address together', async (t) => {
  const server = await Server.start(BEHIND_A_PROXY);
  t.after(() => server.stop());
  const tries = async (number, token, options) => {
    const codes = [];
    const one = async (n) => {
      const frames = await Frames.open(server.websocketUrl, options);
      const answer = await frames.ask({ connect: { token: token(n) } });
      codes.push(answer.connect ? 0 : answer.error?.code ?? answer.closed);
      frames.close();
    };
    for (let n = 0; n < number; n += 50) await Promise.all(Array.from({ length: 50 }, (_, m) => one(n + m)));
    return codes.filter((code) => code !== 0);
  };
  const office = await tries(1_000, (n) => tokenFor(`person ${n}`), from('198.51.100.7'));
  assert.deepEqual(office, [], 'an office behind one address comes in');
  const mallory = await tries(500, () => tokenFor('mallory'), from('203.0.113.9'));
  t.diagnostic(`of 500 connections of one user ${mallory.length} were refused`);
  assert.ok(mallory.length > 100 && mallory.every((code) => code === 111), String(mallory.slice(0, 5)));
  assert.deepEqual(await tries(50, (n) => tokenFor(`other ${n}`), from('203.0.113.9')), [], 'others of the same address come in');
});
