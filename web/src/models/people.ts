/**
 * What is known of people beside what stands at each message: their present names, statuses, whether they want no disturbance.
 *
 * Whoever changes something is told of in the rooms that this person shares with them; after an absence what is shown is asked
 * for again. Of two profiles the one that was changed later holds, whichever came first.
 */
import { signal } from "@preact/signals";
import { PROFILES_KEPT_MAX, PROFILES_READ_MAX } from "../limits.ts";
import type { PersonRef, Profile } from "../wire.ts";
import { nextEnd, profileAt } from "./profile.ts";

export type PeopleContext = {
  ask: (people: readonly string[]) => Promise<{ people: Profile[] }>;
  now: () => number;
  after: (delay: number, task: () => void) => () => void;
  /** Somebody is called or says something else than before. */
  changed: () => void;
};

/** Browsers' timers end after some 24 days. */
const TIMER_MAX_MS = 86_400_000;

export class People {
  /** Counts what has changed, and what was over. */
  readonly version = signal(0);
  private readonly known = new Map<string, Profile>();
  private readonly wanted = new Set<string>();
  private asking = false;
  private cancelEnd: (() => void) | null = null;

  constructor(private readonly context: PeopleContext) {}

  close(): void {
    this.cancelEnd?.();
  }

  /** Somebody as they are now; null while nothing is known. */
  find(id: string): Profile | null {
    const found = this.version.value >= 0 ? this.known.get(id) : undefined;
    return found ? profileAt(found, this.context.now()) : null;
  }

  /** Somebody with their present name. */
  readonly present = <T extends PersonRef>(person: T): T => {
    const found = this.known.get(person.id);
    if (!found) return person;
    const now: T = { ...person, name: found.name };
    if (found.same_name) now.same_name = true;
    else delete now.same_name;
    return now;
  };

  /** The server has told, or answered. */
  told(...profiles: readonly Profile[]): void {
    for (const profile of profiles) {
      const before = this.known.get(profile.id);
      if (before && before.changed > profile.changed) continue;
      this.known.delete(profile.id);
      this.known.set(profile.id, profile);
    }
    for (const id of this.known.keys()) {
      if (this.known.size <= PROFILES_KEPT_MAX) break;
      this.known.delete(id);
    }
    this.changed();
  }

  /** These are shown: what is not known of them is asked for. */
  want(people: readonly string[]): void {
    for (const id of people) if (!this.known.has(id)) this.wanted.add(id);
    void this.ask();
  }

  /** Somebody is looked at: what is known of them is asked for again. */
  look(id: string): void {
    this.wanted.add(id);
    void this.ask();
  }

  /** What was missed may have changed anybody: those who are known, and these, are asked for again. */
  refresh(people: readonly string[]): void {
    for (const id of [...people, ...this.known.keys()]) this.wanted.add(id);
    void this.ask();
  }

  private async ask(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    try {
      // What is wanted in one go is asked for together.
      await Promise.resolve();
      while (this.wanted.size > 0) {
        const some = [...this.wanted].slice(0, PROFILES_READ_MAX);
        const { people } = await this.context.ask(some);
        for (const id of some) this.wanted.delete(id);
        this.told(...people);
      }
    } catch {
      // Asked for again with the next connection, or when somebody else is wanted.
    } finally {
      this.asking = false;
    }
  }

  private changed(): void {
    this.version.value += 1;
    this.context.changed();
    this.cancelEnd?.();
    const now = this.context.now();
    const next = nextEnd(this.known.values(), now);
    this.cancelEnd = next === null ? null : this.context.after(Math.min(next - now, TIMER_MAX_MS), () => this.changed());
  }
}
