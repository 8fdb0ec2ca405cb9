// The golden frames of crates/protocol, held against the SDK's own protobuf codec: each line in hexadecimal is what it
// makes of the line in JSON, and it reads the same from it. crates/protocol holds our codec against the same files.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Centrifuge as CentrifugeOfJson } from 'centrifuge';
import { Centrifuge } from 'centrifuge/build/protobuf';

import { fromBytes } from '../../harness/sdk.mjs';

const codec = new Centrifuge('ws://nobody.invalid/')._codec;
const codecOfJson = new CentrifugeOfJson('ws://nobody.invalid/')._codec;
const file = (name) => fileURLToPath(new URL(`../../../crates/protocol/tests/golden/${name}`, import.meta.url));
const lines = (name) => readFileSync(file(name), 'utf8').trimEnd().split('\n');

/** Where the protocol has bytes. */
const PAYLOADS = new Set(['data', 'conn_info', 'chan_info']);
/** What JSON has also where it is zero. */
const ALWAYS = new Set(['user', 'client', 'num_clients', 'num_users', 'epoch', 'offset']);

/** A number of 64 bits as the codec has it, and as digits. */
const long = (digits) => {
  const number = BigInt(digits);
  return { low: Number(BigInt.asIntN(32, number)), high: Number(BigInt.asIntN(32, number >> 32n)), unsigned: number >> 63n > 0n };
};
const digits = ({ low, high, unsigned }) => `${(BigInt(unsigned ? high >>> 0 : high) << 32n) | BigInt(low >>> 0)}`;

/** A message in JSON as the SDK's codec takes it: payloads as bytes, and every digit of large numbers. */
function message(line) {
  return JSON.parse(line.replace(/:(\d{16,})/g, ':"long $1"'), (name, value) => {
    if (PAYLOADS.has(name)) return Buffer.from(JSON.stringify(value));
    if (ALWAYS.has(name) && !value) return undefined;
    return typeof value === 'string' && value.startsWith('long ') ? long(value.slice(5)) : value;
  });
}

/** Without what is zero or empty, which JSON writes here and there and the SDK gives to all; numbers in digits. */
function essence(value) {
  if (typeof value === 'number') return `${value}`;
  if (value === null || typeof value !== 'object') return value;
  if ('unsigned' in value) return digits(value);
  if (Array.isArray(value)) return value.map(essence);
  const fields = Object.keys(value).map((name) => [name, essence(value[name])]);
  const isEmpty = (field) => !field || field === '0' || (typeof field === 'object' && Object.keys(field).length === 0);
  return Object.fromEntries(fields.filter(([, field]) => !isEmpty(field)));
}

for (const [kind, encode, decode] of [
  ['commands', 'encodeCommands', 'decodeCommands'],
  ['replies', 'encodeReplies', 'decodeReplies'],
]) {
  test(`the SDK writes all golden ${kind} in protobuf byte for byte, and reads in them what JSON says`, () => {
    const written = lines(`${kind}.jsonl`).map((line) => Buffer.from(codec[encode]([message(line)])).toString('hex'));
    // To be done once for lines that are added, and looked at.
    if (process.env.WRITE_GOLDEN === '1') writeFileSync(file(`${kind}.hex`), `${written.join('\n')}\n`);
    const golden = lines(`${kind}.hex`);
    assert.deepEqual(golden, written);
    for (const [n, line] of lines(`${kind}.jsonl`).entries()) {
      const [read] = codec[decode](Buffer.from(golden[n], 'hex'));
      assert.deepEqual(essence(fromBytes(read)), essence(fromBytes(message(line))), line);
    }
  });
}

test('the SDK applies all golden deltas, as text and as bytes, whole characters and all (4.17)', () => {
  for (const line of lines('deltas.jsonl')) {
    const { from, to, delta } = JSON.parse(line);
    const before = codecOfJson.applyDeltaIfNeeded({ data: from });
    assert.deepEqual(codecOfJson.applyDeltaIfNeeded({ data: delta, delta: true }, before.newPrevValue).newData, JSON.parse(to), line);
    const { newData } = codec.applyDeltaIfNeeded({ data: Buffer.from(delta), delta: true }, Buffer.from(from));
    assert.equal(Buffer.from(newData).toString(), to, line);
  }
});
