// What a member can do to the others with what every member has: a device that is known, an invite, a name of their choice.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { Person, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });

/** A sign-in, as a proxy in front passes it on for a client at `address`. */
function signIn(server, { email, password }, { address, cookie }) {
  const headers = { origin: server.url, 'content-type': 'application/json', 'x-forwarded-for': address };
  if (cookie) headers.cookie = cookie;
  return request(`${server.url}/v1/session`, { method: 'POST', headers, body: JSON.stringify({ email, password }), agent });
}

const cookies = (answer) => (answer.headers['set-cookie'] ?? []).map((cookie) => cookie.split(';')[0]);
const device = (answer) => cookies(answer).find((cookie) => /^(__Host-)?tidings-device=/.test(cookie));

describe('a member against the others', () => {
  let server, ana, ben;
  before(async () => {
    server = await Server.start({ memory: 512, args: ['--trusted-proxies', '127.0.0.1'] });
    ana = await Person.setUp(server);
    ben = await Person.invited(ana);
  });
  after(() => server.kill());

  test('S26 a member who signs in rightly without a pause keeps nobody waiting', async (t) => {
    const devices = [];
    for (let n = 0; n < 3; n += 1) devices.push(device(await signIn(server, ben, { address: '198.51.100.1' })));
    assert.ok(devices.every(Boolean), 'signing in marks the device');
    const one = performance.now();
    await signIn(server, ana, { address: '203.0.113.1' });
    const alone = performance.now() - one;

    let going = true;
    let signedIn = 0;
    const flood = Array.from({ length: 12 }, async (_, n) => {
      while (going) {
        const { status } = await signIn(server, ben, { address: '198.51.100.1', cookie: devices[n % devices.length] });
        // Who is told to wait takes no processor any more, and leaves it to those who are let in.
        if (status === 429) return;
        signedIn += status === 201 ? 1 : 0;
      }
    });
    const took = [];
    try {
      // Well above what goes first, so that the flood has found its place.
      await until('the member signs in over and over', () => signedIn >= 20, { timeout: 30_000 });
      for (let n = 0; n < 4; n += 1) {
        const begun = performance.now();
        const answer = await signIn(server, ana, { address: `203.0.113.${10 + n}` });
        took.push(performance.now() - begun);
        assert.equal(answer.status, 201, answer.text);
      }
    } finally {
      going = false;
      agent.destroy();
      await Promise.allSettled(flood);
    }
    t.diagnostic(`a stranger's sign-in took ${alone.toFixed(0)} ms alone, ${took.map((ms) => ms.toFixed(0)).join(', ')} ms among ${signedIn} of a member`);
    const mean = took.reduce((sum, ms) => sum + ms, 0) / took.length;
    assert.ok(mean < 8 * alone + 500, `${mean} ms each`);
  });

  test('S49 a name neither covers the lines around it nor hides what it is made of', async () => {
    const marks = '\u0301'.repeat(79);
    const refused = { [`a${marks}`]: 'name_stray_mark', '\u0338\u0338': 'name_stray_mark', 'Ana\u094d': 'name_stray_mark', '\ue000': 'name_invisible_character', 'Ana\ufdd0': 'name_invisible_character', '1\u200d2': 'name_invisible_character' };
    for (const [name, code] of Object.entries(refused)) {
      const answer = await ben.post('/v1/rooms', { name });
      assert.deepEqual([answer.status, answer.json.code], [422, code], JSON.stringify(name));
    }
    for (const name of ['Nguye\u0302\u0303n', '5\ufe0f\u20e3 👩\u200d👧', 'লক্ষ্মী', 'น้ำผึ้ง']) await ben.createRoom(name);
  });
});
