// Floods of wrong sign-ins: what they may take of the memory, and who gets in all the same.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { Person, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { within } from '../harness/wait.mjs';

const WRONG = 'not the password at all';
const agent = new http.Agent({ keepAlive: true, maxSockets: 400 });

/** One try to sign in, as a proxy in front passes it on for a client at `address`. */
function signIn(server, { email, password = WRONG, address, cookie }) {
  const headers = { origin: server.url, 'content-type': 'application/json', 'x-forwarded-for': address };
  if (cookie) headers.cookie = cookie;
  return request(`${server.url}/v1/session`, { method: 'POST', headers, body: JSON.stringify({ email, password }), agent });
}

const statuses = (answers) => answers.reduce((counts, { status }) => ({ ...counts, [status]: (counts[status] ?? 0) + 1 }), {});
const address = (n) => `198.51.${100 + (n >> 8)}.${n & 255}`;
const cookies = (answer) => (answer.headers['set-cookie'] ?? []).map((cookie) => cookie.split(';')[0]);
const device = (answer) => cookies(answer).find((cookie) => /^(__Host-)?tidings-device=/.test(cookie));

describe('floods of wrong sign-ins', () => {
  let server, ana;
  before(async () => {
    server = await Server.start({ memory: 512, args: ['--trusted-proxies', '127.0.0.1'] });
    ana = await Person.setUp(server);
  });
  after(() => server.kill());

  test('S24 300 wrong sign-ins at once, from one address and from many, stay under 256 MiB', { timeout: 120_000 }, async (t) => {
    const before = server.resident;
    const one = await Promise.all(Array.from({ length: 300 }, (_, n) => signIn(server, { email: `one${n}@example.org`, address: '192.0.2.1' })));
    t.diagnostic(`300 from one address: ${JSON.stringify(statuses(one))}, ${before.toFixed(0)} MiB before, ${server.resident.toFixed(0)} after, ${server.peak.toFixed(0)} at most`);
    const many = await Promise.all(Array.from({ length: 300 }, (_, n) => signIn(server, { email: `many${n}@example.org`, address: address(n) })));
    t.diagnostic(`300 from 300 addresses: ${JSON.stringify(statuses(many))}, ${server.resident.toFixed(0)} MiB after, ${server.peak.toFixed(0)} at most`);
    assert.ok(server.alive, 'the server lives');
    assert.ok(server.peak < 256, `${server.peak} MiB`);
    // A slow machine does not compute them all in the time that a request has.
    assert.deepEqual(Object.keys(statuses(many)).filter((status) => !['401', '503'].includes(status)), [], 'a crowd of 300 addresses is answered, or told to come back');
    const some = await Promise.all(Array.from({ length: 50 }, (_, n) => signIn(server, { email: `some${n}@example.org`, address: address(600 + n) })));
    assert.deepEqual(statuses(some), { 401: 50 }, 'everybody in a crowd of 50 has a turn');
    assert.ok(server.peak < 256, `${server.peak} MiB`);
  });

  test('S26 a sign-in gets through while 200 clients try wrong passwords without a pause', { timeout: 120_000 }, async (t) => {
    let going = true;
    let tries = 0;
    const flood = Array.from({ length: 200 }, async (_, n) => {
      while (going) {
        tries += 1;
        const answer = await signIn(server, { email: `flood${n}-${tries}@example.org`, address: address(1000 + n) });
        // Who is told to wait comes back from another address of the same network operator.
        if (answer.status === 429) n += 200;
      }
    });
    while (tries < 200) await new Promise((resolve) => setImmediate(resolve));
    const start = performance.now();
    const asked = signIn(server, { email: ana.email, password: ana.password, address: '203.0.113.1' });
    const answer = await within(60_000, 'an answer among the flood', asked);
    const took = performance.now() - start;
    going = false;
    agent.destroy();
    await Promise.allSettled(flood);
    t.diagnostic(`a sign-in took ${took.toFixed(0)} ms among ${tries} wrong ones; ${server.peak.toFixed(0)} MiB at most`);
    assert.equal(answer.status, 201, answer.text);
    assert.ok(server.peak < 256, `${server.peak} MiB`);
  });

  test('S26 a hundred failures from many addresses do not lock the owner out of their own device', { timeout: 120_000 }, async (t) => {
    const home = '203.0.113.200';
    const signedIn = await signIn(server, { email: ana.email, password: ana.password, address: home });
    const cookie = device(signedIn);
    assert.ok(cookie, 'signing in marks the device');
    let tries = 0;
    let last;
    for (; tries < 400 && last !== 429; ) {
      const round = Array.from({ length: 20 }, (_, n) => signIn(server, { email: ana.email, address: address(3000 + tries + n) }));
      last = (await Promise.all(round)).at(-1).status;
      tries += 20;
    }
    t.diagnostic(`after ${tries} failures a stranger's device is told to wait`);
    // All at once: a try comes free every six seconds, which a busy machine takes for less than this.
    const attempt = (from, more = {}) => signIn(server, { email: ana.email, password: ana.password, address: from, ...more });
    const [own, strange, forged] = (await Promise.all([
      attempt(home, { cookie }),
      ...Array.from({ length: 20 }, (_, n) => signIn(server, { email: ana.email, address: address(4000 + n) })),
      attempt('203.0.113.201'),
      attempt(home, { cookie: `${cookie.slice(0, -2)}AA` }),
    ])).filter((_, n) => n === 0 || n > 20);
    assert.equal(strange.status, 429, 'the account is held up for devices that nobody knows');
    assert.equal(own.status, 201, own.text);
    // It opens no other door: another account's limit, and its own failures, count.
    assert.equal(forged.status, 429, 'a forged one is none');

    const wrong = Array.from({ length: 20 }, () => signIn(server, { email: ana.email, address: home, cookie }));
    const failures = (await Promise.all(wrong)).map((answer) => answer.status);
    assert.ok(failures.includes(429), `a known device has its own bucket of failures: ${failures}`);
  });
});
