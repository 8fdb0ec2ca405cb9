/** What a profile means at a moment: a status and a time without disturbance end by themselves, a clock is somewhere. */
import type { Profile } from "../wire.ts";

/** Whether somebody is here, as others are told. */
export type State = "online" | "idle" | "quiet" | "offline";

/** How long something holds: without an end, for some minutes, or to the end of the day or the week here. */
export type Span = "always" | "half-hour" | "hour" | "today" | "week";

export const SPANS: readonly Span[] = ["half-hour", "hour", "today", "week", "always"];

/** The profile as it is at a time: without what is over. */
export function profileAt(profile: Profile, now: number): Profile {
  const { status, quiet, ...rest } = profile;
  return {
    ...rest,
    ...(status && isOn(status.ends, now) && { status }),
    ...(quiet && isOn(quiet.ends, now) && { quiet }),
  };
}

/** When the next thing of these is over; null when nothing ends. */
export function nextEnd(profiles: Iterable<Profile>, now: number): number | null {
  let next: number | null = null;
  for (const { status, quiet } of profiles) {
    for (const ends of [status?.ends, quiet?.ends]) {
      if (ends !== undefined && ends > now && (next === null || ends < next)) next = ends;
    }
  }
  return next;
}

function isOn(ends: number | undefined, now: number): boolean {
  return ends === undefined || ends > now;
}

/** When a span that begins now ends; undefined: not by itself. Days and weeks are those of the clock here; weeks end on Sunday. */
export function endOf(span: Span, now: number): number | undefined {
  const at = new Date(now);
  const midnight = (days: number): number => new Date(at.getFullYear(), at.getMonth(), at.getDate() + days).getTime();
  switch (span) {
    case "half-hour":
      return now + 30 * 60_000;
    case "hour":
      return now + 60 * 60_000;
    case "today":
      return midnight(1);
    case "week":
      return midnight(7 - ((at.getDay() + 6) % 7));
    case "always":
      return undefined;
  }
}

/** Whoever is here and wants no disturbance says so; else somebody who works at one of their pages is not idle. */
export function stateOf(here: { idle: boolean } | null, quiet: boolean): State {
  if (!here) return "offline";
  if (quiet) return "quiet";
  return here.idle ? "idle" : "online";
}

/** The minutes by which the clock of a zone is ahead of UTC at a time; null where this browser does not know the zone. */
export function offsetOf(zone: string | undefined, time: number): number | null {
  try {
    const format = new Intl.DateTimeFormat("en-US", {
      ...(zone !== undefined && { timeZone: zone }),
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
    });
    const part = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, Number(value)]));
    const there = Date.UTC(part.year ?? 0, (part.month ?? 1) - 1, part.day, part.hour, part.minute);
    return Math.round((there - Math.floor(time / 60_000) * 60_000) / 60_000);
  } catch {
    return null;
  }
}

/** The zone of this computer. */
export function ownZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** All zones that this browser knows, with these. */
export function zones(...more: readonly string[]): string[] {
  const known = typeof Intl.supportedValuesOf === "function" ? Intl.supportedValuesOf("timeZone") : [];
  return [...new Set([...known, "UTC", ...more.filter((zone) => zone !== "")])].sort();
}
