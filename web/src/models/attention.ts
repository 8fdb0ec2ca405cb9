/**
 * Whether somebody is looking: a window that is visible and has the focus, with a person at it; and which messages were in
 * view before them for long enough to have been seen.
 */
import { signal, type ReadonlySignal } from "@preact/signals";
import { AT_REST_MS, SEEN_AFTER_MS } from "../limits.ts";

type After = (delay: number, task: () => void) => () => void;

/** Whether a person is there. Told of what the window and the person do. */
export class Attendance {
  private readonly here = signal(false);
  private looked = false;
  private actedAt = -Infinity;
  private cancelRest: (() => void) | null = null;

  constructor(
    private readonly now: () => number,
    private readonly after: After,
  ) {}

  /** Whether they are looking. */
  get present(): ReadonlySignal<boolean> {
    return this.here;
  }

  /** The window is visible and has the focus, or not any more. Somebody has brought it to the front. */
  looks(looked: boolean): void {
    if (looked && !this.looked) this.actedAt = this.now();
    this.looked = looked;
    this.settle();
  }

  /** The person did something: a key, a pointer, a finger. */
  acted(): void {
    this.actedAt = this.now();
    if (!this.here.peek()) this.settle();
  }

  close(): void {
    this.cancelRest?.();
  }

  private settle(): void {
    this.cancelRest?.();
    this.cancelRest = null;
    const left = this.actedAt + AT_REST_MS - this.now();
    this.here.value = this.looked && left > 0;
    if (this.here.peek()) this.cancelRest = this.after(left, () => this.settle());
  }
}

/** Which messages are in view, and since when somebody sees them. */
export class InView {
  private readonly shown = new Set<number>();
  /** Those for which time runs, each with its turn. */
  private readonly turns = new Map<number, number>();
  private turn = 0;
  private present = false;
  private readonly timers = new Set<() => void>();

  constructor(
    private readonly after: After,
    private readonly saw: (number: number) => void,
  ) {}

  /** These came into view, and these went out of it. */
  changed(came: readonly number[], went: readonly number[]): void {
    for (const number of went) {
      this.shown.delete(number);
      this.turns.delete(number);
    }
    for (const number of came) this.shown.add(number);
    if (this.present) this.begin(came);
  }

  /** Somebody is there, or not any more: then what they had begun to look at begins again when they are back. */
  attend(present: boolean): void {
    if (present === this.present) return;
    this.present = present;
    if (present) this.begin([...this.shown]);
    else this.turns.clear();
  }

  close(): void {
    for (const cancel of this.timers) cancel();
  }

  private begin(numbers: readonly number[]): void {
    const begun = numbers.filter((number) => !this.turns.has(number));
    if (begun.length === 0) return;
    const turn = ++this.turn;
    for (const number of begun) this.turns.set(number, turn);
    const cancel = this.after(SEEN_AFTER_MS, () => {
      this.timers.delete(cancel);
      for (const number of begun.sort((a, b) => a - b)) if (this.turns.get(number) === turn) this.saw(number);
    });
    this.timers.add(cancel);
  }
}
