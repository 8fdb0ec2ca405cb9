// Reads a room as the protocol tells a client to: live, resuming by number, and paging what a resume could not carry.

import { event } from './sdk.mjs';
import { until } from './wait.mjs';

export class Reader {
  /** Events in the order in which they were shown. */
  shown = [];
  /** How often it was told that it could not resume, and paged instead. */
  paged = 0;
  resumed = 0;
  /** How often the room's stream was another one, so that nothing that was shown before counts. */
  renewed = 0;
  #epoch;
  #early = [];
  #catchingUp = Promise.resolve();
  #behind = 0;

  constructor(centrifuge, person, room) {
    this.centrifuge = centrifuge;
    this.person = person;
    this.room = room;
    this.subscription = centrifuge.newSubscription(`room:${room}`, { recoverable: true });
    this.subscription.on('error', () => {});
    this.subscription.on('publication', ({ data, offset }) => {
      if (offset === undefined) return;
      if (this.#behind > 0) this.#early.push(data);
      else this.#show(data);
    });
    this.subscription.on('subscribed', (answer) => {
      if (answer.recovered) {
        this.resumed += 1;
        return;
      }
      const { epoch } = answer.streamPosition;
      if (this.#epoch !== undefined && this.#epoch !== epoch) {
        this.renewed += 1;
        this.shown = [];
      }
      this.#epoch = epoch;
      this.#behind += 1;
      this.#catchingUp = this.#catchingUp.then(() => this.#page(answer.streamPosition.offset)).finally(() => {
        this.#behind -= 1;
        if (this.#behind === 0) for (const early of this.#early.splice(0)) this.#show(early);
      });
    });
  }

  static async of(centrifuge, person, room) {
    const reader = new Reader(centrifuge, person, room);
    const answer = event(reader.subscription, 'subscribed');
    reader.subscription.subscribe();
    centrifuge.connect();
    await answer;
    return reader;
  }

  get last() {
    return this.shown.at(-1)?.number ?? 0;
  }

  #show(data) {
    // A number already shown came by the other way; a number further on would be a hole, and is kept to be found.
    if (data.number > this.last) this.shown.push(data);
  }

  async #page(offset) {
    this.paged += 1;
    // Until it has everything, or the test is over or the server has sent it away for good.
    while (this.last < offset && this.centrifuge.state !== 'disconnected') {
      const answer = await this.person.get(`/v1/rooms/${this.room}/events?after=${this.last}&limit=200`).catch(() => null);
      // The server may be on its way down or up: ask again, as a page in a browser does.
      if (answer?.status !== 200) await new Promise((resolve) => setTimeout(resolve, 50));
      else for (const data of answer.json.events) this.#show(data);
    }
  }

  /** Waits until it has shown the event with that number. */
  upTo(number, timeout = 15_000) {
    return until(`the reader gets to ${number}`, () => this.last >= number && this.#behind === 0, { timeout });
  }
}
