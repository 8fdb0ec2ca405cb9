// Tokens that were revoked and users who are blocked, as the stock SDK meets them: after a restart, and, in Postgres, while the
// server runs and another program denies. The rows are written by hand, as another server would.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { query } from '../../harness/postgres.mjs';
import { client, connected, event } from '../../harness/sdk.mjs';
import { Server, run } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';

let server;
before(async () => (server = await Server.start({ env: SECRETS })));
after(() => server.kill());

const iat = () => Math.floor(Date.now() / 1000);
const key = (kind, subject) => createHash('sha256').update(`${kind}\0${subject}\0\0`).digest('hex');

/** Denies something, as a server would write it down; in Postgres so that the others hear of it. */
async function deny(kind, subject, issuedBefore = null) {
  const [id, created] = [key(kind, subject), Date.now()];
  if (server.database === 'sqlite') {
    const row = `x'${id}', '${kind}', '${subject}', ${issuedBefore ?? 'NULL'}, ${created}`;
    const { code, stderr } = await run('sqlite3', [join(server.dataDir, 'tidings.db'), `INSERT INTO denials (key, kind, subject, issued_before, created) VALUES (${row})`]);
    assert.equal(code, 0, stderr);
    return;
  }
  const bytes = `'\\x${id}'::bytea`;
  await query(server.database, `BEGIN;
    INSERT INTO tidings.denials (key, kind, subject, issued_before, created) VALUES (${bytes}, '${kind}', '${subject}', ${issuedBefore ?? 'NULL'}, ${created});
    WITH head AS (UPDATE tidings.revoked SET last = last + 1 RETURNING last)
      INSERT INTO tidings.revocations (number, time, denial) SELECT last, ${created}, ${bytes} FROM head;
    INSERT INTO tidings.commits (writer, lane, commits) VALUES ('another server', 0, 1) ON CONFLICT (writer, lane) DO UPDATE SET commits = commits.commits + 1;
    COMMIT`);
}

/** Three users: one whose token is revoked, one whose tokens are, one who is blocked; and one more whom nothing concerns. */
async function four(t) {
  const open = async (user, more = {}) => {
    const one = client(t, server.websocketUrl, { token: tokenFor(user, { iat: iat(), ...more }) });
    await connected(one);
    return one;
  };
  return { stolen: await open('ana', { jti: `stolen ${t.name}` }), own: await open('ana', { jti: 'own' }), old: await open(`old ${t.name}`), blocked: await open(`blocked ${t.name}`) };
}

async function denyThree(t) {
  await deny('token', `stolen ${t.name}`);
  await deny('tokens', `old ${t.name}`, Date.now() + 1_000);
  await deny('user', `blocked ${t.name}`);
}

test('after a restart a revoked token is close 3500 and a blocked user 3507, for good, and others come back', async (t) => {
  const { stolen, own, old, blocked } = await four(t);
  const ends = Promise.all([stolen, old, blocked].map((one) => event(one, 'disconnected')));
  await server.stop();
  await denyThree(t);
  const back = event(own, 'connected');
  await server.start();
  assert.deepEqual((await ends).map(({ code }) => code), [3500, 3500, 3507]);
  await back;
});

test('what another server denies ends here at once: 3500 and 3503, and others go on', async (t) => {
  if (server.database === 'sqlite') return t.skip('in SQLite there is no other server');
  const { stolen, own, old, blocked } = await four(t);
  const ends = Promise.all([stolen, old, blocked].map((one) => event(one, 'disconnected')));
  await denyThree(t);
  assert.deepEqual((await ends).map(({ code }) => code), [3500, 3500, 3503]);
  assert.equal(own.state, 'connected');
  const again = client(t, server.websocketUrl, { token: tokenFor(`blocked ${t.name}`, { iat: iat() + 10 }) });
  const end = event(again, 'disconnected');
  again.connect();
  assert.equal((await end).code, 3507);
  return undefined;
});
