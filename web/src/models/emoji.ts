/** Finding emoji: by what they are, by their short names, and those used lately. */
import { EMOJI_FOUND_MAX, EMOJI_RECENT_MAX } from "../limits.ts";
import type { EmojiEntry } from "../emoji.ts";
import { fold } from "./search.ts";

let loading: Promise<readonly (readonly EmojiEntry[])[]> | undefined;

/** All of them, by groups. A load that failed is tried again at the next question. */
export function allEmoji(): Promise<readonly (readonly EmojiEntry[])[]> {
  loading ??= import("../emoji.ts").then(
    ({ groups }) => groups,
    (error: unknown) => {
      loading = undefined;
      throw error;
    },
  );
  return loading;
}

/** The best first: short names that begin so, then names and other words that do, then what has it anywhere. */
export function findEmoji(groups: readonly (readonly EmojiEntry[])[], query: string): EmojiEntry[] {
  const wanted = fold(query.replace(/^:|:$/g, "")).replaceAll(/[_-]/g, " ").trim();
  if (wanted === "") return [];
  const ranked: [number, EmojiEntry][] = [];
  for (const entry of groups.flat()) {
    const rank = rankOf(entry, wanted);
    if (rank !== null) ranked.push([rank, entry]);
  }
  return ranked
    .sort(([a], [b]) => a - b)
    .slice(0, EMOJI_FOUND_MAX)
    .map(([, entry]) => entry);
}

function rankOf([, name, shortcodes, words]: EmojiEntry, wanted: string): number | null {
  const short = shortcodes.map((code) => code.replaceAll("_", " "));
  if (short.includes(wanted)) return 0;
  if (short.some((code) => code.startsWith(wanted))) return 1;
  const starts = (text: string): boolean => ` ${fold(text)}`.includes(` ${wanted}`);
  if (starts(name)) return 2;
  if (short.some((code) => starts(code)) || starts(words)) return 3;
  return fold(name).includes(wanted) ? 4 : null;
}

/** The emoji of this short name, without its colons. */
export function byShortcode(groups: readonly (readonly EmojiEntry[])[], code: string): string | null {
  for (const group of groups) for (const [emoji, , shortcodes] of group) if (shortcodes.includes(code)) return emoji;
  return null;
}

/** Those used lately with one more, the latest first. */
export function withRecent(recent: readonly string[], emoji: string): string[] {
  return [emoji, ...recent.filter((other) => other !== emoji)].slice(0, EMOJI_RECENT_MAX);
}

/** The short name that has just got its second colon before the caret; null when there is none, or it is code. */
export function shortcodeClosed(text: string, caret: number): { from: number; code: string } | null {
  const found = /(?:^|[\s(>*_~"'])(:[a-z0-9_+-]{2,32}:)$/i.exec(text.slice(Math.max(0, caret - 40), caret));
  const code = found?.[1];
  if (code === undefined || isInCode(text.slice(0, caret - code.length))) return null;
  return { from: caret - code.length, code: code.slice(1, -1).toLowerCase() };
}

// By its backticks: a fence that is not closed before it, or in its paragraph a run of them that is not.
export function isInCode(before: string): boolean {
  const fences = [...before.matchAll(/^ {0,3}(?:`{3,}|~{3,}).*$/gm)];
  if (fences.length % 2 === 1) return true;
  const last = fences.at(-1);
  const paragraph = before.slice(last ? last.index + last[0].length : 0).split(/\n[^\S\n]*\n/).at(-1) ?? "";
  let open = 0;
  for (const [run] of paragraph.matchAll(/(?<![\\`])`+/g)) open = open === 0 ? run.length : open === run.length ? 0 : open;
  return open > 0;
}

/** The short name that is being written before the caret, from its colon on; null when there is none. */
export function shortcodeBefore(text: string, caret: number): { from: number; code: string } | null {
  const found = /(?:^|[\s(>*_~"'])(:[a-z0-9_+-]{2,32})$/i.exec(text.slice(Math.max(0, caret - 40), caret));
  const code = found?.[1];
  return code === undefined ? null : { from: caret - code.length, code: code.slice(1) };
}
