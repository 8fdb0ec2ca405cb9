// What is written down: enough to look after the server, and no secret (S18, S50, S66).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { test } from 'node:test';
import WebSocket from 'ws';

import { Frames } from '../harness/frames.mjs';
import { Person, api, request } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { Stream } from '../harness/streams.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';

test('logs are JSON where nobody watches, and hold no password, cookie, token, code or message even at the highest level', async (t) => {
  const server = await Server.start({ env: SECRETS, args: ['--log', 'trace'] });
  t.after(() => server.kill());
  const setupCode = await server.setupCode();
  const password = 'a pass phrase not to be seen';
  const ana = await Person.setUp(server, { password });
  const ben = await Person.invited(ana, { password });
  await ben.signIn({ password: 'a wrong one not to be seen' });
  const { json: invite } = await ana.get(`/v1/rooms/${ana.room.id}/invite`);
  await ana.say(ana.room.id, 'a message not to be seen');
  const socket = await Frames.person(ana);
  await socket.subscribe(`room:${ana.room.id}`);
  const token = tokenFor('dev');
  const developer = await Frames.connect(server.websocketUrl, { token });
  await api(server, 'publish', { channel: 'news', data: 'a publication not to be seen' });
  socket.close();
  developer.close();
  await server.stop();

  const lines = server.stderr.trim().split('\n');
  assert.ok(lines.length >= 2);
  for (const line of lines) assert.ok(JSON.parse(line).level, line);
  const secrets = {
    setupCode, password, wrong: 'a wrong one not', cookie: ana.cookie.split('=')[1], other: ben.cookie.split('=')[1], invite: invite.code, message: 'a message not to be seen',
    token, publication: 'a publication not', apiKey: SECRETS.TIDINGS_API_KEY, tokenSecret: SECRETS.TIDINGS_TOKEN_SECRET,
  };
  for (const [what, secret] of Object.entries(secrets)) {
    const line = lines.find((one) => one.includes(secret));
    assert.equal(line, undefined, `${what} is in the log: ${line?.slice(0, 400)}`);
  }
});

test('a token in an address is in no log, whatever reads the address, and its answer sends no Referer on (S18)', async (t) => {
  const server = await Server.start({ env: SECRETS, args: ['--log', 'trace'] });
  t.after(() => server.kill());
  const token = tokenFor('seen');
  const cf = encodeURIComponent(JSON.stringify({ id: 1, connect: { token } }));
  const alone = encodeURIComponent(JSON.stringify({ token }));
  const session = http2.connect(server.url);
  t.after(() => session.destroy());
  for (const path of [`/connection/sse?cf_connect=${cf}`, `/connection/uni_sse?cf_connect=${alone}`]) {
    for (const over of [undefined, session]) {
      const stream = await Stream.open(server.url + path, { method: 'GET', session: over });
      assert.equal(stream.headers['referrer-policy'], 'no-referrer');
      await stream.next();
      stream.close();
    }
  }
  // Refused, too: twice in the address, at the wrong place, and too long for a head.
  for (const path of [`/connection/sse?cf_connect=${cf}&cf_connect=${cf}`, `/connection/http_stream?cf_connect=${cf}`, `/no/such?cf_connect=${cf}`, `/connection/sse?cf_connect=${cf}${'x'.repeat(17_000)}`]) {
    const answer = await request(server.url + path);
    assert.ok(answer.status >= 400, path.slice(0, 60));
    assert.ok(!answer.text.includes(token));
  }
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/connection/uni_websocket?cf_connect=${alone}`);
  await once(socket, 'message');
  socket.close();
  await server.stop();
  const [, claims, signature] = token.split('.');
  for (const part of [claims, signature, token, encodeURIComponent(token)]) {
    const line = server.stderr.split('\n').find((one) => one.includes(part));
    assert.equal(line, undefined, `a part of the token is in the log: ${line?.slice(0, 400)}`);
  }
});

test('line breaks and escape codes in what clients send do not break the log\'s lines (S50)', async (t) => {
  const server = await Server.start({ env: SECRETS, args: ['--log', 'debug'] });
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const nasty = 'x\u001b[31m\r\n{"level":"ERROR","message":"forged"}';
  await ana.createRoom('Room', { topic: nasty }).catch(() => {});
  await ana.post('/v1/session', { email: `${nasty}@example.org`, password: nasty });
  await request(`${server.url}/%1b%5b31m%0d%0aforged`, { headers: { 'user-agent': 'agent\u009b31m' } });
  await server.stop();
  for (const line of server.stderr.trim().split('\n')) {
    assert.notEqual(JSON.parse(line).message, 'forged');
    assert.ok(!line.includes('\u001b'));
  }
});
