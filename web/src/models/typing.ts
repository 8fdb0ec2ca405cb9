/** Who is typing in a room. A notice fades by itself, because nobody promises that another one comes. */
import { TYPING_SHOWN_MS } from "../limits.ts";
import type { PersonRef } from "../wire.ts";

export class Typing {
  private readonly heard = new Map<string, { person: PersonRef; until: number }>();

  started(person: PersonRef, now: number): void {
    this.heard.set(person.id, { person, until: now + TYPING_SHOWN_MS });
  }

  stopped(id: string): void {
    this.heard.delete(id);
  }

  /** The people who are typing, in the order they began. */
  people(now: number): PersonRef[] {
    for (const [id, { until }] of this.heard) if (until <= now) this.heard.delete(id);
    return [...this.heard.values()].map(({ person }) => person);
  }

  /** Milliseconds until the next notice fades; null when there is none. */
  fadesIn(now: number): number | null {
    const ends = [...this.heard.values()].map(({ until }) => until - now);
    return ends.length > 0 ? Math.max(0, Math.min(...ends)) : null;
  }
}
