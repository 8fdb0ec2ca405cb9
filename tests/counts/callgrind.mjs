// A server under valgrind's callgrind, and what callgrind wrote down of it.

import { readFileSync } from 'node:fs';

import { Server, run, temporaryFolder } from '../harness/server.mjs';
import { SECRETS } from '../harness/tokens.mjs';
import { PATIENCE } from './wire.mjs';

// The C library's, and the names that other allocators give theirs.
const ALLOCATES = /^(?:_rjem_|je_|mi_|__libc_)?(?:malloc|calloc|realloc|posix_memalign|aligned_alloc|memalign)$/;
// Not outside of valgrind, where the kernel's page answers.
const READS_THE_CLOCK = /^(?:__vdso_)?(?:clock_gettime|gettimeofday|time)$/;

/**
 * Runs `scenario` on a server of its own and counts what its rounds cost: from when the first tenth of them is over, which
 * does what is done once, until the last is answered.
 */
export async function counted(scenario) {
  const folder = temporaryFolder();
  // Strings and positions in full, so that the file is read line by line. System calls are counted, their time is not used.
  // It often looks whether it is told something, since not everywhere may it be woken for that.
  const under = [
    'valgrind', '--quiet', '--tool=callgrind', '--collect-systime=yes', '--compress-strings=no', '--compress-pos=no',
    `--callgrind-out-file=${folder}/counts`, `--vgdb-prefix=${folder}/vgdb`, '--vgdb-poll=500',
  ];
  // One thread for all connections: with several, who wakes whom is another matter each time.
  const env = { ...SECRETS, TIDINGS_RATE_LIMITS: 'false', TIDINGS_LOG: 'warn', TIDINGS_THREADS: '1', ...scenario.env };
  const server = await Server.start({ under, env, startTimeout: PATIENCE });
  const tell = async (order) => {
    const { code, stderr } = await run('vgdb', [`--vgdb-prefix=${folder}/vgdb`, `--pid=${server.pid}`, order], { timeout: PATIENCE });
    if (code !== 0) throw new Error(`valgrind did not ${order}: ${stderr}`);
  };
  try {
    const { round, operations } = await scenario.prepare(server);
    const warmUp = Math.ceil(scenario.rounds / 10);
    for (let number = 1; number <= warmUp; number += 1) await round(number);
    // A dump begins the counters anew; the order that only does that forgets those of system calls.
    await tell('dump');
    const before = operations();
    for (let number = warmUp + 1; number <= warmUp + scenario.rounds; number += 1) await round(number);
    const count = operations() - before;
    await tell('dump');
    return { operations: count, functions: functionsOf(readFileSync(`${folder}/counts.2`, 'utf8')) };
  } finally {
    await server.kill();
  }
}

/**
 * Of each function: instructions and system calls of its own, how often it was called, and instructions with all that it
 * called (more than once where it calls itself).
 */
function functionsOf(text) {
  const functions = new Map();
  const of = (name) => {
    let known = functions.get(name);
    if (!known) functions.set(name, (known = { instructions: 0, inclusive: 0, systemCalls: 0, calls: 0 }));
    return known;
  };
  let events;
  let current;
  let called;
  let calls;
  for (const line of text.split('\n')) {
    if (line.startsWith('fn=')) current = of(withoutVersion(line.slice(3)));
    else if (line.startsWith('cfn=')) called = of(withoutVersion(line.slice(4)));
    else if (line.startsWith('calls=')) calls = Number(line.slice(6).split(' ')[0]);
    else if (line.startsWith('events: ')) events = line.slice(8).split(' ');
    else if (/^\d/.test(line)) {
      // The first column is a line number, and columns at the end that are zero are left out.
      const costs = line.split(' ').slice(1);
      const cost = (event) => Number(costs[events.indexOf(event)] ?? 0);
      current.inclusive += cost('Ir');
      // The line behind `calls=` is of the call; the number is 0 where it began before the counters did.
      if (calls !== undefined) {
        called.calls += calls;
        calls = undefined;
      } else {
        current.instructions += cost('Ir');
        current.systemCalls += cost('sysCount');
      }
    }
  }
  return functions;
}

// The C library's functions are `malloc` in one build and `malloc@@GLIBC_2.2.5` in another.
const withoutVersion = (name) => name.replace(/@.*/, '');

/** What `functions` cost together. */
export function costOf(functions) {
  const cost = { instructions: 0, allocations: 0, systemCalls: 0 };
  for (const [name, { instructions, systemCalls, calls }] of functions) {
    cost.instructions += instructions;
    if (!READS_THE_CLOCK.test(name)) cost.systemCalls += systemCalls;
    if (ALLOCATES.test(name)) cost.allocations += calls;
  }
  if (cost.allocations === 0) throw new Error('no call of an allocator was seen: tests/counts/callgrind.mjs must be told the names of the one that the server uses');
  return cost;
}
