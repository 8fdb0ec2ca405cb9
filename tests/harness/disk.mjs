// Disks that are small, and disks that are full.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { temporaryFolder } from './run.mjs';

const MIB = 1 << 20;

/** A small disk of its own, gone with the test; `undefined` where none can be made. */
export function smallDisk(t, mib) {
  const folder = temporaryFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m,mode=700`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  t.after(() => execFileSync('umount', ['-l', folder]));
  return folder;
}

/** Another program on the same disk takes all that is left. */
export function fill(folder) {
  const file = join(folder, 'somebody-elses');
  const handle = openSync(file, 'a');
  try {
    for (const size of [MIB, 4096]) {
      try {
        for (;;) writeSync(handle, Buffer.alloc(size));
      } catch (error) {
        assert.equal(error.code, 'ENOSPC');
      }
    }
  } finally {
    closeSync(handle);
  }
  return { free: () => rmSync(file) };
}
