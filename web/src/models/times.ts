/** Times as people read them, by Intl in the reader's language and zone. */

const LOCALE = typeof navigator === "undefined" ? "en" : navigator.language;

const clock = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "short" });
const date = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "long" });
const weekday = new Intl.DateTimeFormat(LOCALE, { weekday: "long", day: "numeric", month: "long" });
const withYear = new Intl.DateTimeFormat(LOCALE, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto" });

/** "09:12" */
export function clockTime(time: number): string {
  return clock.format(time);
}

/** "09:12" also where the clock has twelve hours: for places too narrow for "AM", next to the whole time. */
export function shortClockTime(time: number): string {
  const parts = clock.formatToParts(time).filter((part) => part.type !== "dayPeriod");
  return parts.map((part) => part.value).join("").trim();
}

/** "Friday, 20 November 2026 at 09:12" */
export function fullTime(time: number): string {
  return full.format(time);
}

/** "20 November" */
export function shortDate(time: number): string {
  return date.format(time);
}

/** "09:12" of today, and else the day: "20 November". */
export function momentLabel(time: number, now: number): string {
  return dayOf(time) === dayOf(now) ? clockTime(time) : shortDate(time);
}

/** "14:05" as the clocks of a zone have it. */
export function clockTimeIn(zone: string, time: number): string {
  return new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", timeZone: zone }).format(time);
}

/** When something ends: "14:05" today, else "Friday, 20 November, 14:05". */
export function endTime(time: number, now: number): string {
  return dayOf(time) === dayOf(now) ? clock.format(time) : `${weekday.format(time)}, ${clock.format(time)}`;
}

/** "now", "5 minutes ago", "yesterday", "3 months ago" */
export function relativeTime(time: number, now: number): string {
  const minutes = Math.min(0, Math.round((time - now) / 60_000));
  if (minutes > -60) return minutes === 0 ? relative.format(0, "second") : relative.format(minutes, "minute");
  const hours = Math.round(minutes / 60);
  if (hours > -24) return relative.format(hours, "hour");
  const days = Math.round(hours / 24);
  return days > -60 ? relative.format(days, "day") : relative.format(Math.round(days / 30), "month");
}

/** For `<time datetime>`. */
export function machineTime(time: number): string {
  return new Date(time).toISOString();
}

/** The local calendar day, to compare. */
export function dayOf(time: number): string {
  const at = new Date(time);
  return `${at.getFullYear()}-${at.getMonth() + 1}-${at.getDate()}`;
}

/** "Today", "Yesterday", "Friday, 20 November", and the year when it is another one. */
export function dayLabel(time: number, now: number): string {
  const days = Math.round((startOfDay(time) - startOfDay(now)) / 86_400_000);
  if (days === 0 || days === -1) return capitalise(relative.format(days, "day"));
  const sameYear = new Date(time).getFullYear() === new Date(now).getFullYear();
  return capitalise((sameYear ? weekday : withYear).format(time));
}

/** As fields of the type `date` have it: "2026-11-20". */
export function dateField(time: number): string {
  const at = new Date(time);
  const two = (number: number): string => String(number).padStart(2, "0");
  return `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** When that day begins here; null when it is no day. */
export function fromDateField(value: string): number | null {
  const [year, month, day] = value.split("-").map(Number);
  if (!year || !month || !day) return null;
  const at = new Date(year, month - 1, day);
  return dateField(at.getTime()) === value ? at.getTime() : null;
}

/** The same time of day, so many days before. */
export function daysBefore(time: number, days: number): number {
  const at = new Date(time);
  at.setDate(at.getDate() - days);
  return at.getTime();
}

function startOfDay(time: number): number {
  const at = new Date(time);
  return new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime();
}

function capitalise(text: string): string {
  return text.charAt(0).toLocaleUpperCase(LOCALE) + text.slice(1);
}
