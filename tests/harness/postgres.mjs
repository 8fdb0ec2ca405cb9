// Databases of Postgres for servers under test, and clusters that a test may kill, freeze and fill. tests/postgres starts them.

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import pg from 'pg';

import { run } from './run.mjs';
import { until } from './wait.mjs';

const STARTER = fileURLToPath(new URL('../postgres', import.meta.url));

/** The Postgres that tests share; `tests/run` exports it. */
export const SHARED = process.env.TIDINGS_TEST_POSTGRES || undefined;
/** For a test's `skip`. */
export const noPostgres = SHARED === undefined && 'no Postgres: eval "$(tests/postgres start)" sets TIDINGS_TEST_POSTGRES';
/** Whether the servers of this run keep what they know in Postgres, each in a database of its own. */
export const ON_POSTGRES = process.env.TIDINGS_TEST_DATABASE === 'postgres';

/** The same server and role, another database, and perhaps another port or more parameters. */
function at(url, database, { port, ...parameters } = {}) {
  const other = new URL(url);
  if (database !== undefined) other.pathname = `/${database}`;
  if (port !== undefined) other.port = port;
  for (const [key, value] of Object.entries(parameters)) other.searchParams.set(key, value);
  return other.href;
}

/** One statement, or several without values, over a connection of its own; the rows of the last. */
export async function query(target, sql, values) {
  const to = typeof target === 'string' ? { connectionString: target } : target;
  const client = new pg.Client({ connectionTimeoutMillis: 10_000, ...to });
  client.on('error', () => {});
  await client.connect();
  try {
    const answer = await client.query(sql, values);
    return (Array.isArray(answer) ? answer.at(-1) : answer).rows;
  } finally {
    await client.end();
  }
}

/** Every row of the chat in a database, as `{ table, row }`. */
export async function rowsOf(url) {
  const tables = await query(url, "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'tidings' ORDER BY 1");
  const rows = await Promise.all(tables.map(async ({ name }) =>
    (await query(url, `SELECT to_jsonb(t)::text AS row FROM tidings."${name}" t ORDER BY 1`)).map(({ row }) => ({ table: name, row }))));
  return rows.flat();
}

const made = [];

/** The URL of a new and empty database in the shared Postgres; it goes away with the test process. */
export async function freshDatabase() {
  if (noPostgres) throw new Error(noPostgres);
  const name = `tidings_test_${randomBytes(6).toString('hex')}`;
  await query(SHARED, `CREATE DATABASE ${name}`);
  if (made.length === 0) process.on('exit', () => spawnSync(process.execPath, [fileURLToPath(import.meta.url), 'drop', ...made]));
  made.push(name);
  return at(SHARED, name);
}

// At the end of a process nothing can be awaited, so another one drops its databases.
if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === 'drop') {
  for (const name of process.argv.slice(3)) await query(SHARED, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
}

/** For a test's `skip`, beside `Postgres.start()`. */
export const noCluster = 'a Postgres of its own cannot be had here: tests/postgres start says why';

/** Whether there is such a process, and one that has not ended yet. */
function lives(pid) {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/**
 * A cluster of one test's own; `undefined` where none can be had. With `disk`, its data lies on a file system of so many
 * MiB, which only root can make; with `standbyOf` it follows another one, until it is promoted.
 */
export class Postgres {
  #url;
  #folder;

  static async start({ disk, standbyOf } = {}) {
    const args = ['start', '--for', String(process.pid)];
    if (disk !== undefined) args.push('--disk', String(disk));
    if (standbyOf !== undefined) args.push('--standby-of', standbyOf.#folder);
    const { code, stdout, stderr } = await run(STARTER, args, { timeout: 90_000 });
    if (code === 3) return undefined;
    if (code !== 0) throw new Error(`tests/postgres: ${code} ${stderr}`);
    const postgres = new Postgres();
    [postgres.#url, postgres.#folder] = ['', '_FOLDER'].map((name) => stdout.match(new RegExp(`TIDINGS_TEST_POSTGRES${name}='(.*)'`))[1]);
    process.on('exit', () => spawnSync(STARTER, ['stop', postgres.#folder]));
    return postgres;
  }

  get port() {
    return Number(new URL(this.#url).port);
  }

  /** Where the server's certificate can be verified with. */
  get authority() {
    return join(this.#folder, 'ca.pem');
  }

  get dataDir() {
    return join(this.#folder, 'data');
  }

  get log() {
    return readFileSync(join(this.#folder, 'log'), 'utf8');
  }

  /** As the role of the tests; `{ port }` leads through a proxy, everything else is a parameter of the URL. */
  url(database, parameters) {
    return at(this.#url, database, parameters);
  }

  /** The URL of a new and empty database. */
  async database(parameters) {
    const name = `tidings_${randomBytes(4).toString('hex')}`;
    await query(this.#url, `CREATE DATABASE ${name}`);
    return this.url(name, parameters);
  }

  /** As a superuser. */
  query(sql, { database = 'postgres', values } = {}) {
    return query(this.#asSuperuser(database), sql, values);
  }

  /** A connection of a superuser's that stays open until its `end`, or the test process's. */
  async session(database) {
    const client = new pg.Client(this.#asSuperuser(database));
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  #asSuperuser(database) {
    return { host: this.#folder, port: this.port, user: 'postgres', database };
  }

  /** The folder of its own programs. */
  get programs() {
    const [postgres] = readFileSync(`/proc/${this.#pid}/cmdline`, 'utf8').split('\0');
    return join(postgres, '..');
  }

  /** One of its own programs, such as pg_dump. */
  program(name, ...args) {
    return run(join(this.programs, name), args, { timeout: 60_000 });
  }

  // The file is gone after an orderly stop.
  get #pid() {
    try {
      return Number(readFileSync(join(this.dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
    } catch {
      return undefined;
    }
  }

  /** Its first process and what that has started. */
  #processes() {
    const first = this.#pid;
    if (first === undefined) return [];
    const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
      try {
        return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')[1]) === first;
      } catch {
        return false;
      }
    });
    return [first, ...children];
  }

  #signal(signal, processes = this.#processes()) {
    for (const pid of processes) {
      try {
        process.kill(pid, signal);
      } catch { /* it has ended meanwhile */ }
    }
    return processes;
  }

  /** SIGKILL for all of it at once, as when its machine loses power. `again` starts it. */
  async kill() {
    const killed = this.#signal('SIGKILL');
    await until('all of Postgres is gone', () => !killed.some(lives));
  }

  /** Waits until it has gone down by itself. */
  gone() {
    const [first] = this.#processes();
    return until('Postgres has gone down', () => !lives(first));
  }

  /** SIGKILL for one process that serves a database: Postgres ends all the others and recovers, by itself. */
  async killOne(url) {
    const [{ pid }] = await this.query('SELECT pid FROM pg_stat_activity WHERE datname = $1 LIMIT 1', { values: [new URL(url).pathname.slice(1)] });
    this.#signal('SIGKILL', [pid]);
  }

  /** An orderly stop, which ends what its clients are doing. `again` starts it. */
  async stop() {
    const stopped = this.#signal('SIGINT', [this.#pid]);
    await until('Postgres has stopped', () => !stopped.some(lives));
  }

  /** The same data, on the same port. */
  async again() {
    const { code, stderr } = await run(STARTER, ['again', this.#folder], { timeout: 90_000 });
    if (code !== 0) throw new Error(`tests/postgres: ${code} ${stderr}`);
  }

  /** Puts it to work again, whatever has been done to it. */
  async mend() {
    if (!existsSync(this.#folder)) return;
    const [first] = this.#processes();
    if (lives(first)) this.thaw();
    else await this.again();
  }

  async restart() {
    await this.stop();
    await this.again();
  }

  /** Everything stands still, and no connection is closed, until `thaw`. */
  freeze() {
    // The first process at first: it would start others.
    this.#signal('SIGSTOP', [this.#pid]);
    this.#signal('SIGSTOP');
  }

  thaw() {
    this.#signal('SIGCONT');
  }

  /** Ends what clients have open in a database; they may come again. */
  endConnections(url) {
    return this.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', { values: [new URL(url).pathname.slice(1)] });
  }

  /** Ends it and removes its data. */
  async remove() {
    this.thaw();
    await run(STARTER, ['stop', this.#folder]);
  }
}
