/**
 * Reactions under messages: what an event makes of them, and what this person has just done that no event has told of yet.
 */
import type { Api } from "../api.ts";
import { REACTION_PEOPLE_SHOWN } from "../limits.ts";
import type { PersonRef, Reacted, Reaction, RoomEvent } from "../wire.ts";
import type { Timeline } from "./timeline.ts";

/** The reactions after one came or went. The same list where nothing changes. */
export function reacted(list: readonly Reacted[], { emoji, person }: Reaction, stands: boolean, me: string): readonly Reacted[] {
  const before = list.find((one) => one.emoji === emoji) ?? { emoji, count: 0, people: [] };
  const isMine = person.id === me;
  const isNamed = before.people.some((other) => other.id === person.id);
  // Told of twice: it was in what was read, too.
  if (isMine ? (before.mine ?? false) === stands : stands && isNamed) return list;
  const others = before.people.filter((other) => other.id !== person.id);
  const people = stands ? [...others, person].slice(0, REACTION_PEOPLE_SHOWN) : others;
  const { mine, ...rest } = before;
  const now: Reacted = { ...rest, count: before.count + (stands ? 1 : -1), people, ...((isMine ? stands : mine) && { mine: true }) };
  if (before.count === 0) return stands ? [...list, now] : list;
  return list.flatMap((one) => (one !== before ? [one] : now.count > 0 ? [now] : []));
}

/** Whether an event is about a reaction, and whether that came or went. */
export function standsIn(event: RoomEvent): boolean | null {
  if (!event.reaction) return null;
  return event.type === "reaction.added" ? true : event.type === "reaction.removed" ? false : null;
}

/** `since`: the last event that there was when it was wished; what happened up to then says nothing of it. */
type Wish = { message: string; emoji: string; stands: boolean; underWay: number; since: number };

/** What this person wants and no event has told of yet: shown at once, and as it was where the server refuses. */
export class Reactions {
  private wishes: Wish[] = [];
  private turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly room: { readonly id: string; readonly timeline: Timeline; changed(): void },
    private readonly context: { me: PersonRef; api: Pick<Api, "react"> },
  ) {}

  /** The reactions as this person sees them. */
  shown(message: string, list: readonly Reacted[]): readonly Reacted[] {
    if (this.wishes.length === 0) return list;
    const { me } = this.context;
    return this.wishes
      .filter((wish) => wish.message === message)
      .reduce((shown, { emoji, stands }) => reacted(shown, { message, emoji, person: me }, stands, me.id), list);
  }

  /** Reacts, or takes it back; one request after the other, so that the last wish is what stands. */
  async set(message: string, emoji: string, stands: boolean): Promise<void> {
    const before = this.wishes.find((wish) => wish.message === message && wish.emoji === emoji);
    const wish = before ?? { message, emoji, stands, underWay: 0, since: 0 };
    if (!before) this.wishes.push(wish);
    wish.stands = stands;
    wish.underWay += 1;
    wish.since = this.room.timeline.newest;
    this.room.changed();
    try {
      await this.inTurn(() => this.context.api.react(this.room.id, message, emoji, stands));
    } catch (error) {
      if (wish.stands === stands) this.drop(wish);
      throw error;
    } finally {
      wish.underWay -= 1;
    }
    // It was so already, or the event came before the answer: nothing will tell of it any more.
    if (wish.underWay === 0 && this.isMine(message, emoji) === wish.stands) this.drop(wish);
  }

  /**
   * An event told of what is now so, and the timeline shows it: a wish that nobody works on any more is fulfilled, or
   * overtaken.
   */
  told(event: RoomEvent): void {
    const [{ reaction, number }, stands] = [event, standsIn(event)];
    if (reaction?.person.id !== this.context.me.id) return;
    const wish = this.wishes.find((one) => one.message === reaction.message && one.emoji === reaction.emoji);
    if (!wish || number <= wish.since || this.isMine(wish.message, wish.emoji) !== stands) return;
    if (wish.underWay === 0 || wish.stands === stands) this.drop(wish);
  }

  private isMine(message: string, emoji: string): boolean {
    return this.room.timeline.reactions(message)?.find((one) => one.emoji === emoji)?.mine ?? false;
  }

  private drop(wish: Wish): void {
    this.wishes = this.wishes.filter((other) => other !== wish);
    this.room.changed();
  }

  private inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = this.turn.then(task, task);
    this.turn = done.catch(() => undefined);
    return done;
  }
}
