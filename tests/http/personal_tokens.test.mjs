// Personal tokens: what a program does with one, what it never can, and when it ends.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import WebSocket from 'ws';

import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';

const run = promisify(execFile);
let server, ana, ben;
before(async () => {
  server = await Server.start();
  ana = await Person.setUp(server);
  ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
});
after(() => server.kill());

const make = async (person, scopes, more = {}) => {
  const answer = await person.post('/v1/me/tokens', { name: 'A program', scopes, ...more });
  assert.equal(answer.status, 201);
  return answer.json;
};
const ask = (secret, method, path, body) =>
  fetch(server.url + path, {
    method,
    headers: { authorization: `Bearer ${secret}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });

test('the page’s example works as it stands, without a cookie or an origin', async () => {
  const { secret } = await make(ben, ['read', 'write']);
  assert.match(secret, /^tdp_[\w-]{43}$/);
  const page = readFileSync(new URL('../../docs/personal-tokens.md', import.meta.url), 'utf8');
  const [, example] = /```sh\n([^`]*)```/.exec(page);
  const env = { ...process.env, TOKEN: secret, SERVER: server.url, ROOM: ana.room.id };
  const script = `uuidgen() { cat /proc/sys/kernel/random/uuid; }\n${example}`;
  const { stdout } = await run('bash', ['-euc', script], { env });
  assert.match(stdout, /"General"/);
  assert.match(stdout, /"number":3/);
  const { messages } = (await ana.get(`/v1/rooms/${ana.room.id}/messages`)).json;
  assert.deepEqual([messages.at(-1).body, messages.at(-1).author.id], ['The backup is done', ben.id]);
});

test('s43_with every scope a token reaches no account, session, token or role', async () => {
  const { secret } = await make(ana, ['read', 'write', 'rooms']);
  for (const [method, path, body] of [
    ['GET', '/v1/sessions'],
    ['DELETE', '/v1/sessions'],
    ['DELETE', '/v1/session'],
    ['GET', '/v1/me/tokens'],
    ['POST', '/v1/me/tokens', { name: 'More', scopes: ['read'] }],
    ['PUT', '/v1/me/password', { present: ana.password, password: 'another pass phrase' }],
    ['PUT', '/v1/me/email', { present: ana.password, email: 'other@example.org' }],
    ['PATCH', `/v1/people/${ben.id}`, { role: 'admin' }],
  ]) {
    const answer = await ask(secret, method, path, body);
    assert.deepEqual([answer.status, (await answer.json()).code], [403, 'not_with_a_token'], `${method} ${path}`);
  }
  assert.equal((await ask(secret, 'POST', '/v1/rooms', { name: 'Made by a program' })).status, 201);
});

test('a token without the scope is refused with words, and one’s cookie does not help it', async () => {
  const { secret } = await make(ben, ['read']);
  const answer = await fetch(`${server.url}/v1/rooms/${ana.room.id}/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, cookie: ben.cookie, origin: server.url, 'content-type': 'application/json' },
    body: JSON.stringify({ client_id: crypto.randomUUID(), body: 'no' }),
  });
  const problem = await answer.json();
  assert.deepEqual([answer.status, problem.code], [403, 'scope_missing']);
  assert.match(problem.detail, /scope write/);
});

test('a token ends when it is revoked, when its time is over, and with its person', async () => {
  const [one, other] = [await make(ben, ['read']), await make(ben, ['read'])];
  assert.equal((await ask(one.secret, 'GET', '/v1/me')).status, 200);
  assert.equal((await ana.delete(`/v1/me/tokens/${one.id}`)).status, 404, 'it is not hers');
  assert.equal((await ben.delete(`/v1/me/tokens/${one.id}`)).status, 204);
  const refused = await ask(one.secret, 'GET', '/v1/me');
  assert.deepEqual([refused.status, (await refused.json()).code], [401, 'token_invalid']);
  assert.equal((await ask(other.secret, 'GET', '/v1/me')).status, 200);
  assert.equal((await ben.post('/v1/me/tokens', { name: 'Late', scopes: ['read'], expires: 1 })).json.code, 'end_invalid');

  const leaving = await Person.invited(ana, { name: 'Cleo', email: 'cleo@example.org' });
  const { secret } = await make(leaving, ['read']);
  assert.equal((await ask(secret, 'GET', '/v1/me')).status, 200);
  assert.equal((await server.cli('user', 'deactivate', 'cleo@example.org')).code, 0);
  assert.equal((await ask(secret, 'GET', '/v1/me')).status, 401);
  assert.equal((await server.cli('user', 'activate', 'cleo@example.org')).code, 0);
  assert.equal((await ask(secret, 'GET', '/v1/me')).status, 401, 'and does not come back');
});

test('s18_no log line has a token, and a live connection refuses it', async () => {
  const { secret, id } = await make(ben, ['read']);
  await ask(secret, 'GET', '/v1/me');
  await ask(`${secret}x`, 'GET', '/v1/me');
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/connection/websocket`);
  await new Promise((resolve) => (socket.onopen = resolve));
  const closed = new Promise((resolve) => (socket.onclose = resolve));
  socket.send(JSON.stringify({ id: 1, connect: { token: secret } }));
  assert.equal((await closed).code, 3500);
  const log = server.output;
  assert.ok(log.includes(id), 'that it was made is in the security log');
  assert.ok(!log.includes(secret.slice(4)));
});
