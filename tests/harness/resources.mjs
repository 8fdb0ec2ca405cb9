// What a server may take and what it takes: a limit on its memory, and its figures while it is attacked.

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MIB = 1 << 20;
let groups = 0;
let saidThatThereIsNone = false;

/**
 * A control group in which everything together gets `mib` MiB of memory, and who needs more is killed; `undefined` where
 * none can be made (not root, or a system without them). Then the peak that the kernel keeps of each process still says
 * whether it stayed below.
 */
export function memoryGroup(mib) {
  const versions = [
    { root: '/sys/fs/cgroup/memory', limits: { 'memory.limit_in_bytes': mib * MIB } },
    { root: '/sys/fs/cgroup', limits: { 'memory.max': mib * MIB, 'memory.swap.max': 0 } },
  ];
  for (const { root, limits } of versions) {
    if (!existsSync(root)) continue;
    const folder = join(root, `tidings-test-${process.pid}-${(groups += 1)}`);
    try {
      mkdirSync(folder);
      for (const [file, value] of Object.entries(limits)) if (existsSync(join(folder, file))) writeFileSync(join(folder, file), String(value));
      if (!Object.keys(limits).some((file) => existsSync(join(folder, file)))) throw new Error('no memory controller');
    } catch {
      try { rmdirSync(folder); } catch { /* it was never made */ }
      continue;
    }
    process.on('exit', () => {
      try { rmdirSync(folder); } catch { /* its last process is still going */ }
    });
    return folder;
  }
  if (!saidThatThereIsNone) console.error('no control group could be made: the tests watch the peak of memory, and nothing limits it');
  saidThatThereIsNone = true;
  return undefined;
}

/** The command line that starts a program inside the group: it puts itself there and then becomes the program. */
export function inGroup(folder, program, args) {
  if (folder === undefined) return [program, args];
  return ['/bin/sh', ['-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', folder, program, ...args]];
}

/** The command line that starts a program which may open only so many files, hard limit and soft limit alike. */
export function withFiles(files, program, args) {
  if (files === undefined) return [program, args];
  return ['/bin/sh', ['-c', 'ulimit -n "$0" && exec "$@"', String(files), program, ...args]];
}

const field = (pid, name) => Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(new RegExp(`^${name}:\\s+(\\d+)`, 'm'))[1]);

/** Resident memory now, in MiB. */
export const residentMiB = (pid) => field(pid, 'VmRSS') / 1024;

/** The most resident memory that the process ever had, in MiB. */
export const peakMiB = (pid) => field(pid, 'VmHWM') / 1024;

/** Seconds on a processor since its start, user and system. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
