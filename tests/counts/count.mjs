// Counts what the hot paths of a release build cost, and compares with the recorded ceilings. `tests/counts/run` calls it.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { costOf, counted } from './callgrind.mjs';
import { SCENARIOS } from './scenarios.mjs';

const CEILINGS = fileURLToPath(new URL('ceilings.json', import.meta.url));
const FIGURES = { instructions: 'instructions', allocations: 'allocations', systemCalls: 'system calls' };
// Beside the percentage: of a figure that is nearly nothing, ten percent are less than a tick more or less.
const ALWAYS_ALLOWED = { instructions: 0, allocations: 0.05, systemCalls: 0.05 };
// What --profile prints: a figure, its words, and how many functions.
const PROFILED = [
  ['instructions', 'instructions of the function itself', 20],
  ['inclusive', 'instructions with all that it calls', 60],
  ['systemCalls', 'system calls', 10],
];

const { values: options, positionals: wanted } = parseArgs({
  options: { record: { type: 'boolean' }, profile: { type: 'boolean' } },
  allowPositionals: true,
});
const unknown = wanted.find((name) => !SCENARIOS.some((scenario) => scenario.name === name));
if (unknown !== undefined) {
  console.error(`there is no scenario ${unknown}; there are ${SCENARIOS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const ceilings = JSON.parse(readFileSync(CEILINGS, 'utf8'));
const began = Date.now();
const rows = await measureAll(SCENARIOS.filter(({ name }) => wanted.length === 0 || wanted.includes(name)));
if (options.profile) rows.forEach(profile);

console.log(`\nPer operation, in user space, with one thread of connections; the ceiling is ${ceilings.slackPercent} % above what was recorded.\n`);
table([['path', 'figure', 'per operation', 'recorded', 'ceiling', 'change', 'verdict'], ...rows.flatMap(lines)]);
for (const { scenario } of rows) console.log(`${scenario.name.padEnd(15)} ${scenario.what}`);
const verdicts = rows.flatMap(({ scenario, figures }) => Object.keys(FIGURES).map((figure) => verdict(scenario, figure, figures[figure])));
const over = verdicts.filter((word) => word === 'OVER' || word === 'NOT RECORDED').length;
if (options.record) record();
else {
  if (over > 0) console.log('\nWhat is over its ceiling costs more than it did. Where that is meant: tests/counts/run --record, and say why in the commit.');
  if (verdicts.includes('below')) console.log('\nWhat is below costs less than it did, and stays so where it is recorded: tests/counts/run --record');
  console.log(`\n${verdicts.length - over} passed, ${over} failed, in ${((Date.now() - began) / 1000).toFixed(0)} s`);
  process.exitCode = over > 0 ? 1 : 0;
}

/** Two at a time: another process does not change what is counted. */
async function measureAll(scenarios) {
  const measured = [];
  const next = scenarios.entries();
  const take = async () => {
    for (const [at, scenario] of next) {
      const { operations, functions } = await counted(scenario);
      const figures = Object.fromEntries(Object.entries(costOf(functions)).map(([figure, cost]) => [figure, cost / operations]));
      console.log(`${scenario.name}: ${operations} operations counted`);
      measured[at] = { scenario, figures, operations, functions };
    }
  };
  await Promise.all([take(), take()]);
  return measured;
}

function lines({ scenario, figures }) {
  return Object.entries(FIGURES).map(([figure, words], at) => {
    const recorded = ceilings.paths[scenario.name]?.[figure];
    const value = figures[figure];
    const known = recorded === undefined ? ['', '', ''] : [shown(figure, recorded), shown(figure, ceiling(figure, recorded)), `${(100 * (value / recorded - 1)).toFixed(1)} %`];
    return [at === 0 ? scenario.name : '', words, shown(figure, value), ...known, verdict(scenario, figure, value)];
  });
}

function allowed(figure, recorded) {
  return Math.max((recorded * ceilings.slackPercent) / 100, ALWAYS_ALLOWED[figure]);
}

function ceiling(figure, recorded) {
  return recorded + allowed(figure, recorded);
}

function verdict({ name }, figure, value) {
  const recorded = ceilings.paths[name]?.[figure];
  if (recorded === undefined) return options.record ? 'new' : 'NOT RECORDED';
  if (value > ceiling(figure, recorded)) return 'OVER';
  return value < recorded - allowed(figure, recorded) ? 'below' : 'ok';
}

function shown(figure, value) {
  return figure === 'instructions' ? Math.round(value).toLocaleString('en') : value.toFixed(2);
}

function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, at) => ([0, 1, 6].includes(at) ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join(' | ')} |`;
  console.log([line(rows[0]), line(widths.map((width) => '-'.repeat(width))), ...rows.slice(1).map(line)].join('\n'), '\n');
}

/** Writes down the figures of what was measured, with when and on what. */
function record() {
  const sources = ['--', 'crates', 'Cargo.toml', 'Cargo.lock', 'rust-toolchain.toml'];
  const git = (...args) => execFileSync('git', [...args, ...sources], { cwd: fileURLToPath(new URL('../..', import.meta.url)), encoding: 'utf8' }).trim();
  const commit = git('log', '-1', '--format=%h') + (git('status', '--porcelain') === '' ? '' : ' with changes');
  for (const { scenario, figures } of rows) {
    const { instructions, allocations, systemCalls } = figures;
    ceilings.paths[scenario.name] = {
      instructions: Math.round(instructions), allocations: Number(allocations.toFixed(3)), systemCalls: Number(systemCalls.toFixed(3)),
      date: new Date().toISOString().slice(0, 10), commit,
    };
  }
  // One line a path: a renewed figure is one line of a diff.
  const paths = Object.entries(ceilings.paths).map(([name, path]) => `    ${JSON.stringify(name)}: ${JSON.stringify(path).replaceAll(/([,:])(?=["\d])/g, '$1 ')}`);
  writeFileSync(CEILINGS, `{\n  "about": ${JSON.stringify(ceilings.about)},\n  "slackPercent": ${ceilings.slackPercent},\n  "paths": {\n${paths.join(',\n')}\n  }\n}\n`);
  console.log('\nrecorded in tests/counts/ceilings.json');
}

/** Where the cost of an operation is: in functions themselves, with all that they call, and in which system calls. */
function profile({ scenario, operations, functions }) {
  for (const [figure, words, length] of PROFILED) {
    const rows = [...functions].map(([name, costs]) => ({ name, calls: costs.calls / operations, cost: costs[figure] / operations }));
    const own = figure === 'inclusive' ? 'instructions' : figure;
    const all = [...functions.values()].reduce((sum, costs) => sum + costs[own], 0) / operations;
    console.log(`\n${scenario.name}, ${words}: per operation, part of all, calls, function`);
    // More than all: it calls itself, through others, and is counted each time.
    const within = rows.filter(({ cost }) => cost <= all);
    for (const { name, calls, cost } of within.toSorted((a, b) => b.cost - a.cost).slice(0, length)) {
      const shown = cost.toFixed(figure === 'systemCalls' ? 2 : 0);
      console.log(`${shown.padStart(9)} ${((100 * cost) / all).toFixed(1).padStart(5)} % ${calls.toFixed(2).padStart(7)}  ${name}`);
    }
  }
}
