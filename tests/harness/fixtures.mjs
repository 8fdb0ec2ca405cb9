// What earlier versions left behind: their data folders and their pages, made by fixtures/make.mjs.

import { chmodSync, copyFileSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Person } from './http.mjs';
import { temporaryFolder } from './server.mjs';

const FOLDER = fileURLToPath(new URL('../fixtures', import.meta.url));

/** The folder stands for the one that the version left, where its database was never copied: its mark names that file. */
function isItsOwn(folder) {
  const mark = join(folder, 'tidings.mark');
  if (!existsSync(mark)) return;
  const text = readFileSync(mark, 'latin1');
  const { ino } = statSync(join(folder, 'tidings.db'), { bigint: true });
  const own = text.replace(/^inode .*$/m, `inode ${ino}`).replace(/^born .*$/m, 'born -').trimEnd();
  writeFileSync(mark, `${own}\n`.padEnd(text.length - 1) + '\n', 'latin1');
}

/** The names of the versions of which there is a fixture. */
export const VERSIONS = readdirSync(FOLDER).filter((name) => existsSync(join(FOLDER, name, 'fixture.json'))).sort();

/** What one version left behind. The fields of its fixture.json, and what is made of them here. */
export class Left {
  constructor(version) {
    this.folder = join(FOLDER, version);
    Object.assign(this, JSON.parse(readFileSync(join(this.folder, 'fixture.json'), 'utf8')));
  }

  /** A copy of the data folder that a server may open, with the modes that a repository does not keep. */
  dataDir() {
    const copy = temporaryFolder();
    chmodSync(copy, 0o700);
    for (const file of readdirSync(join(this.folder, 'data'))) {
      copyFileSync(join(this.folder, 'data', file), join(copy, file));
      chmodSync(join(copy, file), 0o600);
    }
    isItsOwn(copy);
    return copy;
  }

  /** Its page, for `--web-dir`. */
  get webDir() {
    return join(this.folder, 'web');
  }

  /** The names of its page's files, which carry a hash of their content. */
  get assets() {
    return JSON.parse(readFileSync(join(this.webDir, 'dist/manifest.json'), 'utf8'));
  }

  get apiKey() {
    return readFileSync(join(this.folder, 'data/api-key'), 'utf8').trim();
  }

  room(name) {
    return this.rooms.find((room) => room.name === name);
  }

  /** The messages of a room, as the REST API gives them. */
  messages(room) {
    return room.events.filter((event) => event.type === 'message.posted').map((event) => event.message);
  }

  /** Everybody, signed in anew. */
  signIn(server) {
    return Promise.all(this.people.map((person) => this.#signIn(server, person)));
  }

  async #signIn(server, known) {
    const person = Object.assign(new Person(server), known);
    const answer = await person.signIn();
    if (answer.status !== 201) throw new Error(`${known.email} cannot sign in: ${answer.status} ${answer.text}`);
    return person;
  }
}
