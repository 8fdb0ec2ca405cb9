// Programs that run to their end, and folders that go with the test.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { within } from './wait.mjs';

// Every process and folder that must be gone when the tests are listens for the end.
process.setMaxListeners(0);

/** A folder that goes away with the test process. */
export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-test-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs a program to its end and returns what it said; a test decides what its exit code must be. */
export async function run(program, args, { env = {}, input, timeout = 20_000, cwd } = {}) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (said.stderr += text));
  child.stdin.on('error', () => {}).end(input ?? '');
  try {
    const [code, signal] = await within(timeout, `${program} ${args.join(' ')}`, once(child, 'close'));
    return { code, signal, ...said };
  } finally {
    child.kill('SIGKILL');
  }
}
