// One invite link, many addresses: how many accounts and rooms it leads to, and who can still make a room.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';

import { Person, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';

const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
let server, ana;
before(async () => {
  server = await Server.start({ memory: 512, args: ['--trusted-proxies', '127.0.0.1'] });
  ana = await Person.setUp(server);
});
after(() => server.kill());

const address = (n) => `198.51.${100 + (n >> 8)}.${n & 255}`;

function ask(method, path, { from, cookie, body } = {}) {
  const headers = { origin: server.url, 'content-type': 'application/json', 'x-forwarded-for': address(from) };
  if (cookie) headers.cookie = cookie;
  return request(server.url + path, { method, headers, body: body && JSON.stringify(body), agent });
}

async function make(n, from) {
  const account = { invite: ana.invite.code, name: `Sock ${n}`, email: `sock${n}@example.org`, password: 'correct horse battery' };
  const answer = await ask('POST', '/v1/accounts', { from, body: account });
  return { status: answer.status, code: answer.json?.code, detail: answer.json?.detail, cookie: answer.headers['set-cookie']?.[0].split(';')[0] };
}

test('one invite leads to a hundred accounts, one of them to ten rooms at once, and the administrator makes one all the same', async (t) => {
  const answers = await Promise.all(Array.from({ length: 240 }, (_, n) => make(n, n % 80)));
  const made = answers.filter(({ status }) => status === 201);
  t.diagnostic(`240 tries from 80 addresses with one link: ${made.length} accounts`);
  assert.equal(made.length, 100, 'the invite is used up');

  const room = (account, n, from) => ask('POST', '/v1/rooms', { from, cookie: account.cookie, body: { name: `Room ${n} of ${account.cookie.slice(-8)}` } });
  const statuses = {};
  for (let n = 0; n < 12; n += 1) {
    const { status } = await room(made[0], n, 1);
    statuses[status] = (statuses[status] ?? 0) + 1;
  }
  t.diagnostic(`12 rooms of one person: ${JSON.stringify(statuses)}`);
  assert.equal(statuses[201], 10, 'ten at once; then one in 50 s, up to 30');
  const garden = await ana.createRoom('Garden');
  assert.equal(garden.members, 1, 'the administrator makes a room all the same');
  t.diagnostic(`${server.peak.toFixed(0)} MiB at most`);
  assert.ok(server.peak < 256);
});

test('an invite that a member renews again and again lets in no more than the room may take in a day', async (t) => {
  let made = 0;
  let last;
  for (let round = 0; round < 4; round += 1) {
    const { json } = await ana.post(`/v1/rooms/${ana.room.id}/invite`, {});
    ana.invite = json;
    const answers = await Promise.all(Array.from({ length: 60 }, (_, n) => make(1_000 + round * 60 + n, 100 + n)));
    made += answers.filter(({ status }) => status === 201).length;
    last = answers.find(({ status }) => status === 429) ?? last;
  }
  t.diagnostic(`240 tries with four links: ${made} accounts more`);
  assert.equal(made, 100, '200 a day with the 100 of the link before');
  assert.equal(last.code, 'too_many_accounts');
  assert.match(last.detail, /Try again in \d+ minutes, or ask/);
});
