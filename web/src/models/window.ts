/**
 * Which part of a room's history is in the page: a range of event numbers, at most `WINDOW_EVENTS_MAX` long. `to` is
 * infinite while the range reaches the end and grows with it.
 */
import { BEFORE_NEW_EVENTS, HISTORY_PAGE_EVENTS, WINDOW_EVENTS_MAX, WINDOW_EVENTS_START } from "../limits.ts";

export type Range = { from: number; to: number };

/** The newest part. */
export function atEnd(last: number): Range {
  return { from: Math.max(1, last - WINDOW_EVENTS_START + 1), to: Infinity };
}

/** The part that begins shortly before an event. */
export function around(number: number, first: number, last: number): Range {
  const from = Math.max(first, number - BEFORE_NEW_EVENTS);
  return { from, to: from + WINDOW_EVENTS_MAX - 1 >= last ? Infinity : from + WINDOW_EVENTS_MAX - 1 };
}

/** One page further up; drops what is then too much at the end. */
export function older(range: Range, first: number, last: number): Range {
  const from = Math.max(first, range.from - HISTORY_PAGE_EVENTS);
  const to = Math.min(range.to, last);
  return to - from + 1 > WINDOW_EVENTS_MAX ? { from, to: from + WINDOW_EVENTS_MAX - 1 } : { from, to: range.to };
}

/** One page further down; drops what is then too much at the start. */
export function newer(range: Range, last: number): Range {
  const to = range.to + HISTORY_PAGE_EVENTS >= last ? Infinity : range.to + HISTORY_PAGE_EVENTS;
  return { from: Math.max(range.from, Math.min(to, last) - WINDOW_EVENTS_MAX + 1), to };
}

/**
 * Events were added at the end. A reader who follows loses lines at the top, a third of the window at a time so that
 * it is seldom; for a reader who is further up nothing visible moves.
 */
export function grown(range: Range, last: number, following: boolean): Range {
  if (range.to !== Infinity || last - range.from + 1 <= WINDOW_EVENTS_MAX) return range;
  if (following) return { from: last - Math.round((WINDOW_EVENTS_MAX * 2) / 3) + 1, to: Infinity };
  return { from: range.from, to: range.from + WINDOW_EVENTS_MAX - 1 };
}
