/** Choosing people by name: what was typed, who was found for it, and who was chosen. */
import { computed, signal } from "@preact/signals";
import type { Api } from "../api.ts";
import { FIND_PEOPLE_DELAY_MS } from "../limits.ts";
import type { Found, PersonRef } from "../wire.ts";
import { describe } from "./problems.ts";
import { fold } from "./search.ts";

export type PickerOptions = {
  api: Pick<Api, "findPeople">;
  /** How many may be chosen. */
  most: number;
  /** Who is not to be chosen, because they are there already. */
  without: readonly string[];
  after?: (delay: number, task: () => void) => () => void;
};

export class Picker {
  readonly query = signal("");
  readonly chosen = signal<readonly PersonRef[]>([]);
  /** Which of those that are offered the keys are at. */
  readonly at = signal(0);
  readonly problem = signal<string | null>(null);
  /** Whether the answer to what was typed has come. */
  readonly settled = signal(false);
  private readonly found = signal<readonly Found[]>([]);
  /** Who can be chosen now. */
  readonly offered = computed(() => {
    const taken = new Set([...this.options.without, ...this.chosen.value.map((person) => person.id)]);
    // Whoever types on need not wait for the answer, nor choose somebody who was found for less.
    const typed = fold(this.query.value.trim());
    const fits = (person: Found): boolean => this.settled.value || fold(person.name).includes(typed);
    return this.isFull.value ? [] : this.found.value.filter((person) => !taken.has(person.id) && fits(person));
  });
  /** Which of them the keys are at, now that there may be fewer; -1 where nobody is offered. */
  readonly active = computed(() => Math.min(this.at.value, this.offered.value.length - 1));
  readonly isFull = computed(() => this.chosen.value.length >= this.options.most);
  private asking: AbortController | null = null;
  private cancel: () => void = () => undefined;

  constructor(private readonly options: PickerOptions) {
    void this.ask();
  }

  close(): void {
    this.cancel();
    this.asking?.abort();
  }

  /** Another text stands in the field. */
  type(text: string): void {
    this.query.value = text;
    this.at.value = 0;
    this.settled.value = false;
    this.cancel();
    this.cancel = (this.options.after ?? later)(FIND_PEOPLE_DELAY_MS, () => void this.ask());
  }

  move(step: 1 | -1): void {
    const count = this.offered.peek().length;
    if (count > 0) this.at.value = (this.active.peek() + step + count) % count;
  }

  /** Chooses somebody; without a word whoever the keys are at. Returns whether anybody was. */
  choose(person: PersonRef | undefined = this.offered.peek()[this.active.peek()]): boolean {
    if (!person || this.isFull.peek()) return false;
    this.chosen.value = [...this.chosen.peek(), person];
    this.type("");
    return true;
  }

  /** Whether Enter is for the choice: with nothing typed and somebody chosen it is for the form. */
  get takesEnter(): boolean {
    return this.query.peek() !== "" || (this.chosen.peek().length === 0 && this.offered.peek().length > 0);
  }

  drop(id: string | undefined = this.chosen.peek().at(-1)?.id): void {
    this.chosen.value = this.chosen.peek().filter((person) => person.id !== id);
  }

  private async ask(): Promise<void> {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    try {
      const { people } = await this.options.api.findPeople(this.query.peek().trim(), asking.signal);
      if (asking.signal.aborted) return;
      this.found.value = people;
      this.problem.value = null;
      this.settled.value = true;
    } catch (error) {
      if (!asking.signal.aborted) this.problem.value = describe(error);
    }
  }
}

function later(delay: number, task: () => void): () => void {
  const timer = setTimeout(task, delay);
  return () => clearTimeout(timer);
}
