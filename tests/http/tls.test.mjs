// TLS built in: HTTPS and wss from two files, by one server.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';

import WebSocket from 'ws';

import { cert, key, noCertificate } from '../harness/certificate.mjs';
import { Frames } from '../harness/frames.mjs';
import { Server, TIDINGS, run, temporaryFolder } from '../harness/server.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';

const folder = temporaryFolder();
const skip = noCertificate;

const get = (url, options) => new Promise((resolve, reject) => {
  https.get(url, { rejectUnauthorized: false, ...options }, (answer) => {
    let text = '';
    answer.setEncoding('utf8').on('data', (piece) => (text += piece)).on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
  }).on('error', reject);
});

test('two options turn TLS on: HTTPS, wss, and the page says wss (0.8, 3.6, 4.30)', { skip }, async (t) => {
  const server = await Server.start({ args: ['--tls-cert', cert, '--tls-key', key], env: SECRETS });
  t.after(() => server.kill());
  assert.match(server.stdout, /^listening on https:\/\/127\.0\.0\.1:\d+$/m);
  const page = await get(`${server.url}/`);
  assert.equal(page.status, 200);
  assert.match(page.text, /wss:(\/|&#x2f;){2}127\.0\.0\.1/);
  assert.match(page.headers['strict-transport-security'] ?? '', /max-age/);
  const socket = new WebSocket(server.websocketUrl, { rejectUnauthorized: false });
  const frames = new Frames(socket);
  await once(socket, 'open');
  assert.ok((await frames.ask({ connect: { token: tokenFor('ana') } })).connect);
  frames.close();
  for (const protocol of ['h2', 'http/1.1']) {
    const raw = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: [protocol] });
    await once(raw, 'secureConnect');
    assert.equal(raw.alpnProtocol, protocol);
    raw.destroy();
  }
});

test('a certificate that cannot be used is an error before it listens', { skip }, async () => {
  const wrong = join(folder, 'wrong.pem');
  writeFileSync(wrong, 'no certificate');
  for (const args of [['--tls-cert', wrong, '--tls-key', key], ['--tls-cert', cert, '--tls-key', wrong], ['--tls-cert', join(folder, 'none.pem'), '--tls-key', key], ['--tls-cert', cert]]) {
    const { code, stdout, stderr } = await run(TIDINGS, ['serve', '--listen', '127.0.0.1:0', '--data-dir', temporaryFolder(), ...args]);
    assert.notEqual(code, 0, args.join(' '));
    assert.doesNotMatch(stdout, /listening/);
    assert.match(stderr, /\.pem/, stderr);
  }
});

test('S45 over HTTP/2 our own page acts and another site does not, though there is no Host header', { skip }, async (t) => {
  const server = await Server.start({ args: ['--tls-cert', cert, '--tls-key', key], env: SECRETS });
  t.after(() => server.kill());
  const session = http2.connect(server.url, { rejectUnauthorized: false });
  t.after(() => session.destroy());
  const signIn = async (origin) => {
    const stream = session.request({ ':method': 'POST', ':path': '/v1/session', origin, 'content-type': 'application/json' });
    stream.end(JSON.stringify({ email: 'ana@example.org', password: 'not the password' }));
    const [headers] = await once(stream, 'response');
    stream.resume();
    return headers[':status'];
  };
  assert.equal(await signIn(server.url), 401);
  assert.equal(await signIn('https://evil.example'), 403);
});
