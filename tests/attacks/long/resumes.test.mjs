// G3, G4: readers whose links end at any moment, while members come and go and the server is killed, show every event once
// and in order, and are told when they cannot resume.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../../harness/frames.mjs';
import { Person, uuidv7 } from '../../harness/http.mjs';
import { Server } from '../../harness/server.mjs';
import { until } from '../../harness/wait.mjs';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Seconds of trouble; `SECONDS=600` for a night. */
const SECONDS = Number(process.env.SECONDS ?? 20);

/** One device that reads a room by the protocol alone, through many short connections. */
class Device {
  shown = [];
  last = 0;
  epoch = '';
  lives = 0;
  resumed = 0;
  paged = 0;
  wrong = [];
  calm = false;

  constructor(person, room) {
    Object.assign(this, { person, room, channel: `room:${room}` });
  }

  async run() {
    while (!this.over) await this.#live().catch(() => pause(20));
  }

  async #live() {
    const frames = await Frames.person(this.person);
    this.lives += 1;
    const reading = this.#read(frames).catch((error) => (frames.code === undefined ? this.wrong.push(String(error)) : undefined));
    if (!this.calm) {
      await Promise.race([frames.closed().catch(() => {}), pause(Math.random() * (Math.random() < 0.2 ? 1_500 : 120))]);
      if (!this.calm) Math.random() < 0.5 ? frames.socket.terminate() : frames.close();
    }
    await reading;
  }

  async #read(frames) {
    const recover = this.last > 0 ? { recover: true, offset: this.last, epoch: this.epoch } : {};
    const answer = await frames.subscribe(this.channel, recover);
    if (!answer.subscribe) return frames.socket.terminate();
    const { offset = 0, epoch, recovered, publications = [] } = answer.subscribe;
    this.epoch = epoch;
    if (recovered) {
      this.resumed += 1;
      if (offset !== this.last) this.wrong.push(`it asked from ${this.last} and was answered from ${offset}`);
      for (const { data } of publications) this.#show(data);
    } else {
      if (this.last > 0) this.paged += 1;
      await this.#page(offset, frames);
    }
    for (;;) {
      const line = await frames.next('the next event').catch(() => ({}));
      if (line.closed !== undefined || this.over) return;
      const { pub, unsubscribe } = line.push?.channel === this.channel ? line.push : {};
      if (pub?.offset) this.#show(pub.data);
      // 2500: what is missing has to be recovered.
      if (unsubscribe) return frames.socket.terminate();
    }
  }

  async #page(offset, frames) {
    while (this.last < offset && frames.code === undefined) {
      const { status, json } = await this.person.get(`/v1/rooms/${this.room}/events?after=${this.last}&limit=200`).catch(() => ({}));
      if (status !== 200) await pause(30);
      else for (const event of json.events) this.#show(event);
    }
  }

  #show(event) {
    // What a page brought is dropped by its number; what is further on would be a hole.
    if (event.number <= this.last) return;
    if (event.number !== this.last + 1) this.wrong.push(`after ${this.last} came ${event.number}`);
    this.shown.push(event);
    this.last = event.number;
  }
}

test('g4_readers_whose_links_end_at_any_moment_miss_nothing_and_see_nothing_twice', { timeout: (SECONDS + 90) * 1_000 }, async (t) => {
  const server = await Server.start({ args: ['--rate-limits', 'false'] });
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const room = ana.room.id;
  const people = [ana];
  while (people.length < 6) people.push(await Person.invited(ana));
  const restless = [await Person.invited(ana), await Person.invited(ana), await Person.invited(ana)];
  const devices = people.flatMap((person) => [new Device(person, room), new Device(person, room), new Device(person, room)]);
  const running = devices.map((device) => device.run());

  let over = false;
  const acknowledged = new Map();
  const posting = people.map(async (person, index) => {
    for (let n = 0; !over; n += 1) {
      const id = uuidv7();
      let answer;
      while (!answer) {
        const { status, json } = await person.say(room, `line ${index} ${n}`, id).catch(() => ({}));
        if (status === 201 || status === 200) answer = json;
        else await pause(10);
      }
      acknowledged.set(answer.number, id);
      await pause(Math.random() * 10);
    }
  });
  const comingAndGoing = restless.map(async (person) => {
    while (!over) {
      await person.put(`/v1/rooms/${room}/members/me`).catch(() => {});
      await pause(Math.random() * 10);
      await (Math.random() < 0.5 ? person.delete(`/v1/rooms/${room}/members/me`) : ana.delete(`/v1/rooms/${room}/members/${person.id}`)).catch(() => {});
    }
  });
  for (let round = 0; round < 4; round += 1) {
    await pause(SECONDS * 250);
    await server.restart();
  }
  over = true;
  await Promise.all([...posting, ...comingAndGoing]);

  const truth = await ana.events(room);
  assert.deepEqual(truth.map((event) => event.number), truth.map((_, index) => index + 1));
  for (const [number, id] of acknowledged) assert.equal(truth[number - 1].message.client_id, id);
  for (const device of devices) device.calm = true;
  await until('every device has everything', () => devices.every((device) => device.last >= truth.length), { timeout: 30_000 });
  for (const device of devices) device.over = true;
  await server.kill();
  await Promise.all(running);
  for (const device of devices) {
    assert.deepEqual(device.wrong, []);
    assert.deepEqual(device.shown, truth);
  }
  const sum = (field) => devices.reduce((total, device) => total + device[field], 0);
  t.diagnostic(`${truth.length} events, ${acknowledged.size} sends acknowledged, 4 kills; ${sum('lives')} connections resumed ${sum('resumed')} times and paged ${sum('paged')} times`);
  assert.ok(sum('resumed') > 100);
});
