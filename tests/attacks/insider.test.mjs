// What a member can do to the others with what every member has: a device that is known, an invite, a name of their choice.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { Person, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';

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
    const flood = Array.from({ length: 40 }, async (_, n) => {
      while (going) {
        const { status } = await signIn(server, ben, { address: '198.51.100.1', cookie: devices[n % devices.length] });
        signedIn += status === 201 ? 1 : 0;
      }
    });
    const took = [];
    try {
      // Well above what goes first, so that the flood has found its place.
      while (signedIn < 20) await new Promise((resolve) => setImmediate(resolve));
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
});
