// Starts, kills and restarts the real program, on a data directory of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ON_POSTGRES, freshDatabase, rowsOf } from './postgres.mjs';
import { cpuSeconds, inGroup, memoryGroup, peakMiB, residentMiB, withFiles } from './resources.mjs';
import { run, temporaryFolder } from './run.mjs';
import { within } from './wait.mjs';

export { run, temporaryFolder };

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const TIDINGS = process.env.TIDINGS_BIN ?? join(ROOT, 'target/debug/tidings');
export const OUT = join(ROOT, 'tests/out');
/** Starts the program and leaves it running; what it says is in `.output`. Killed with the test process at the latest. */
export function running(args, env = {}) {
  const child = spawn(TIDINGS, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  process.on('exit', () => child.kill('SIGKILL'));
  child.output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (child.output += text));
  return child;
}

/**
 * One server: the same data directory, the same port and the same options through every restart. With `memory`, in MiB,
 * it is killed when it needs more; with `files`, it cannot open more than so many. `under` is the command that runs it,
 * such as a profiler. `database` is the URL of one in Postgres, or `sqlite` for a test that is about the files of SQLite;
 * where nothing is said, it is SQLite too, or a fresh database where the whole run is on Postgres.
 */
export class Server {
  #child;
  #closed;
  #options;
  #group;
  #database;

  constructor({ args = [], env = {}, config, dataDir = temporaryFolder(), database = ON_POSTGRES ? freshDatabase() : 'sqlite', memory, files, under = [], startTimeout = 20_000 } = {}) {
    this.dataDir = dataDir;
    this.port = 0;
    this.memory = memory;
    if (memory !== undefined) this.#group = memoryGroup(memory);
    this.#options = { args, env: { RUST_BACKTRACE: '1', ...env }, files, under, startTimeout };
    this.#database = Promise.resolve(database);
    this.#database.catch(() => {});
    if (config !== undefined) {
      this.configFile = join(temporaryFolder(), 'tidings.toml');
      writeFileSync(this.configFile, config);
    }
  }

  /** Starts it and waits for the line that says it listens. */
  static async start(options) {
    const server = new Server(options);
    await server.start();
    return server;
  }

  async start() {
    this.stdout = '';
    this.stderr = '';
    await this.#knowsItsDatabase();
    const args = ['serve', '--listen', `127.0.0.1:${this.port}`, ...this.#common(), ...this.#options.args];
    const [program, ...given] = [...this.#options.under, TIDINGS, ...args];
    const child = spawn(...inGroup(this.#group, ...withFiles(this.#options.files, program, given)), {
      env: { ...process.env, ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#closed = once(child, 'close');
    process.once('exit', () => child.kill('SIGKILL'));
    child.stdout.setEncoding('utf8').on('data', (text) => (this.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr += text));
    const listening = new Promise((resolve, reject) => {
      child.stdout.on('data', () => {
        const line = this.stdout.match(/^listening on (https?:\/\/(\S+):(\d+))$/m);
        if (line) resolve(line);
      });
      child.on('close', (code) => reject(new Error(`the server ended with ${code} before it listened:\n${this.stdout}${this.stderr}`)));
      child.on('error', reject);
    });
    const [, url, , port] = await within(this.#options.startTimeout, 'the server starts', listening);
    this.url = url;
    this.port = Number(port);
    this.websocketUrl = `${url.replace(/^http/, 'ws')}/connection/websocket`;
  }

  // In the environment and not among the arguments, which everybody on the machine may read: it has a password.
  async #knowsItsDatabase() {
    this.database = await this.#database;
    if (this.database !== 'sqlite') this.#options.env.TIDINGS_DATABASE = this.database;
  }

  /** What it has in its environment beyond ours, for a program that a test starts on the same data. */
  get env() {
    return this.#options.env;
  }

  #common() {
    return ['--data-dir', this.dataDir, ...(this.configFile ? ['--config', this.configFile] : [])];
  }

  get pid() {
    return this.#child.pid;
  }

  /** Its process, for a test that waits until it ends by itself. */
  get child() {
    return this.#child;
  }

  get output() {
    return this.stdout + this.stderr;
  }

  /** What it takes of the machine: MiB now and at most since its start, seconds on a processor. */
  get resident() {
    return residentMiB(this.pid);
  }
  get peak() {
    return peakMiB(this.pid);
  }
  get cpu() {
    return cpuSeconds(this.pid);
  }

  /** Whether its process is there: not killed for its memory, not ended by itself. */
  get alive() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The one-time code of the set-up link, which is printed until the first account exists. */
  setupCode(timeout = 5_000) {
    const find = () => this.output.match(/\/setup#([^\s"'\u001b]+)/)?.[1];
    return within(timeout, 'the set-up link is printed', (async () => {
      while (!find()) await once(this.#child.stdout, 'data').catch(() => {});
      return find();
    })());
  }

  get apiKey() {
    return this.#options.env.TIDINGS_API_KEY;
  }

  /** SIGKILL: no drain, no goodbye. */
  async kill() {
    this.#child.kill('SIGKILL');
    await this.#closed;
    this.#hasNotPanicked();
  }

  // Isolation keeps a panic from the next request, so that no answer shows it; every test of ours does.
  #hasNotPanicked() {
    if (/panicked at|"panic/i.test(this.stderr)) throw new Error(`the server panicked:\n${this.stderr}`);
  }

  /** SIGTERM, and the exit code after the drain. */
  async stop({ signal = 'SIGTERM', timeout = 12_000 } = {}) {
    this.#child.kill(signal);
    const [code] = await within(timeout, 'the server drains and ends', this.#closed);
    this.#hasNotPanicked();
    return code;
  }

  async restart() {
    await this.kill();
    await this.start();
  }

  /** A subcommand on this server's data directory, such as `cli('token', '--user', 'ana')`. */
  cli(...args) {
    return this.cliWithInput(undefined, ...args);
  }

  /** The same, with something on its standard input. */
  async cliWithInput(input, ...args) {
    await this.#knowsItsDatabase();
    return run(TIDINGS, [...args, ...this.#common()], { env: this.env, input });
  }

  /** A subcommand that keeps running, such as `tail`; end it with `.kill()`. */
  cliRunning(...args) {
    return running([...args, ...this.#common()], this.env);
  }

  /** A client token as a developer makes it. */
  async token(user, { ttl, channel } = {}) {
    const more = [...(ttl === undefined ? [] : ['--ttl', String(ttl)]), ...(channel ? ['--channel', channel] : [])];
    const { code, stdout, stderr } = await this.cli('token', '--user', user, ...more);
    if (code !== 0) throw new Error(`tidings token: ${code}\n${stderr}`);
    return stdout.trim();
  }

  /** Every row of its database, as `{ table, row }`. */
  async rows() {
    if (this.database !== 'sqlite') return rowsOf(this.database);
    const { stdout } = await run('sqlite3', ['-readonly', join(this.dataDir, 'tidings.db'), '.dump']);
    return [...stdout.matchAll(/^INSERT INTO (\w+) (.*)$/gm)].map(([, table, row]) => ({ table, row }));
  }

  readFile(name) {
    return readFileSync(join(this.dataDir, name), 'utf8');
  }
}
