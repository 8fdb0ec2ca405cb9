// S17 and what else a process needs to stay: files, signals, and parts that must not die unnoticed.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';

import { request } from '../harness/http.mjs';
import { Server, TIDINGS, running, temporaryFolder } from '../harness/server.mjs';
import { until, within } from '../harness/wait.mjs';

/** Opens a connection that stays, says hello on it, and gives the status of the answer; undefined when it was cut. */
async function open(t, server) {
  const socket = net.connect(server.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n');
  let head = '';
  socket.on('data', (bytes) => (head += bytes));
  const [status, retry] = await within(5_000, 'an answer or an end', new Promise((resolve) => {
    const look = () => head.includes('\r\n\r\n') && resolve([Number(head.split(' ')[1]), /retry-after: \d/i.test(head)]);
    socket.on('data', look);
    socket.on('close', () => resolve([undefined]));
  }));
  return { socket, status, retry };
}

test('s17_with_few_files_the_server_answers_503_and_keeps_working', { timeout: 30_000 }, async (t) => {
  const server = await Server.start({ files: 64 });
  t.after(() => server.kill());
  const opened = [];
  for (let n = 0; n < 80; n += 1) opened.push(await open(t, server));
  const count = (status) => opened.filter((one) => one.status === status).length;
  t.diagnostic(`of 80 connections with 64 files: ${count(200)} served, ${count(503)} told to come later, ${count(undefined)} closed`);
  assert.ok(count(200) >= 20 && count(200) <= 32, `${count(200)} served`);
  assert.ok(count(503) >= 20, `${count(503)} told`);
  assert.ok(opened.filter((one) => one.status === 503).every((one) => one.retry));
  // The database and the connections that are there work on.
  const [{ socket }] = opened;
  socket.write('GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const [answer] = await once(socket, 'data');
  assert.match(String(answer), /^HTTP\/1.1 200/);
  for (const one of opened) one.socket.destroy();
  await until('there is room again', async () => (await request(`${server.url}/readyz`, { agent: false })).status === 200);
  assert.doesNotMatch(server.stderr, /cannot accept/);
});

test('the_limit_on_files_is_raised_to_what_the_process_may_have', async (t) => {
  const { spawn } = await import('node:child_process');
  const child = spawn('/bin/sh', ['-c', 'ulimit -S -n 256 && exec "$@"', 'sh', TIDINGS, 'serve', '--listen', '127.0.0.1:0', '--data-dir', temporaryFolder()]);
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  await until('it listens', () => /listening on/.test(output));
  const { readFileSync } = await import('node:fs');
  const [, soft, hard] = readFileSync(`/proc/${child.pid}/limits`, 'utf8').match(/^Max open files\s+(\S+)\s+(\S+)/m);
  assert.equal(soft, hard);
  assert.notEqual(soft, '256');
});

test('a_hang_up_is_not_the_end', async (t) => {
  const server = await Server.start();
  t.after(() => server.kill());
  process.kill(server.pid, 'SIGHUP');
  await until('it is said', () => /SIGHUP/.test(server.stderr));
  assert.equal((await request(`${server.url}/readyz`)).status, 200);
});

// Only a debug build lets a test break a part of it; a release build does not even have the word.
const noFaults = readFileSync(TIDINGS).includes('TIDINGS_FAULT') ? false : 'a release build cannot be made to fail on purpose: test a debug build';

test('a_background_task_that_panics_ends_the_process_with_its_name', { timeout: 60_000, skip: noFaults }, async () => {
  for (const task of ['upkeep of the hub', 'hang-ups']) {
    const child = running(['serve', '--listen', '127.0.0.1:0', '--data-dir', temporaryFolder()], { TIDINGS_FAULT: task });
    const [code] = await within(25_000, 'it ends by itself', once(child, 'close'));
    assert.equal(code, 1);
    assert.match(child.output, new RegExp(`the background task "${task}" panicked`));
  }
});

test('a_load_balancer_sees_that_a_server_is_going', { timeout: 30_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.kill());
  const stopped = server.stop();
  const answer = await until('readyz says so', async () => {
    const { status, text } = await request(`${server.url}/readyz`, { agent: false });
    return status === 503 && text;
  });
  assert.match(answer, /draining/);
  assert.equal(await stopped, 0);
});
