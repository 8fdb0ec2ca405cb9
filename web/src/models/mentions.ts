/**
 * People and rooms in a text: written as `<@ID>`, `<@here>`, `<@room>` and `<#ID>`, and shown by their names wherever
 * somebody reads or writes.
 *
 * While a text is being written its names are known by where they stand. Whoever changes something within a name makes
 * plain text of it.
 */
import type { Block, Inline, PersonRef } from "../wire.ts";
import { isInCode } from "./emoji.ts";
import { fold } from "./search.ts";

/** A name in a text, from its `@` or `#` on, with what is sent for it. */
export type Mention = { from: number; to: number; token: string };

/** A text as it is shown while it is being written, with the names in it, in their order. */
export type Written = { text: string; mentions: readonly Mention[] };

export const NOTHING_WRITTEN: Written = { text: "", mentions: [] };

/** What can be mentioned: the name with its `@` or `#`, and what is sent for it. */
export type Name = { label: string; token: string };

const TOKEN = /<(?:@(?:here|room|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|#[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})>/g;

export function personToken(id: string): string {
  return `<@${id}>`;
}

export function roomToken(id: string): string {
  return `<#${id}>`;
}

export const HERE: Name = { label: "@here", token: "<@here>" };
export const ROOM: Name = { label: "@room", token: "<@room>" };

/** The same names in a text that has become another: those stay that lie before or behind what was changed. */
export function moved({ text: before, mentions }: Written, text: string): Written {
  if (mentions.length === 0) return { text, mentions };
  const most = Math.min(before.length, text.length);
  let start = 0;
  while (start < most && before[start] === text[start]) start += 1;
  let end = 0;
  while (end < most - start && before[before.length - 1 - end] === text[text.length - 1 - end]) end += 1;
  const by = text.length - before.length;
  const kept = mentions.flatMap((mention) => {
    if (mention.to <= start) return [mention];
    return mention.from >= before.length - end ? [{ ...mention, from: mention.from + by, to: mention.to + by }] : [];
  });
  return { text, mentions: kept };
}

/** The text with a name at this place, which stands there already. */
export function withName({ text, mentions }: Written, from: number, { label, token }: Name): Written {
  if (!text.startsWith(label, from)) return { text, mentions };
  const mention = { from, to: from + label.length, token };
  const others = mentions.filter((other) => other.to <= mention.from || other.from >= mention.to);
  return { text, mentions: [...others, mention].sort((a, b) => a.from - b.from) };
}

/** What is sent. */
export function sourceOf({ text, mentions }: Written): string {
  let [source, at] = ["", 0];
  for (const { from, to, token } of mentions) {
    source += text.slice(at, from) + token;
    at = to;
  }
  return source + text.slice(at);
}

/** A source as it is shown while it is edited: with the names that are known. */
export function writtenOf(source: string, labels: ReadonlyMap<string, string>): Written {
  const mentions: Mention[] = [];
  let [text, at] = ["", 0];
  for (const { 0: token, index } of source.matchAll(TOKEN)) {
    const label = labels.get(token);
    if (label === undefined) continue;
    text += source.slice(at, index);
    mentions.push({ from: text.length, to: text.length + label.length, token });
    text += label;
    at = index + token.length;
  }
  return { text: text + source.slice(at), mentions };
}

/** A source with the names in it, for whoever reads it. */
export function shownSource(source: string, labels: ReadonlyMap<string, string>): string {
  return source.replace(TOKEN, (token) => labels.get(token) ?? token);
}

/** What is shown for what is sent, of the names in a text. */
export function labelsOf({ text, mentions }: Written): Map<string, string> {
  return new Map(mentions.map(({ from, to, token }) => [token, text.slice(from, to)]));
}

/** The same of a message's tree. Rooms have the names that this person knows. */
export function labelsIn(blocks: readonly Block[], roomName: (id: string) => string | null): Map<string, string> {
  const labels = new Map<string, string>();
  eachMark(blocks, (mark) => {
    if (mark.type === "mention" && mark.person !== undefined) labels.set(personToken(mark.person), mark.text);
    else if (mark.type === "mention" && mark.everybody !== undefined) labels.set(`<@${mark.everybody}>`, mark.text);
    else if (mark.type === "room") {
      const name = roomName(mark.id);
      if (name !== null) labels.set(roomToken(mark.id), `#${name}`);
    }
  });
  return labels;
}

/** Names that were written out and not chosen: taken for whom they can only mean. Not in code. */
export function linked(written: Written, names: readonly Name[]): Written {
  if (!written.text.includes("@")) return written;
  const folded = names.map((name) => ({ name, folded: fold(name.label) }));
  let found = written;
  for (const { index } of written.text.matchAll(/(?<![\p{L}\p{N}_])@/gu)) {
    if (found.mentions.some(({ from, to }) => from <= index && index < to)) continue;
    const rest = written.text.slice(index);
    const here = folded.filter(({ name, folded: label }) => {
      const said = rest.slice(0, name.label.length);
      return fold(said) === label && !/^[\p{L}\p{N}_]/u.test(rest.slice(name.label.length));
    });
    const longest = Math.max(0, ...here.map(({ name }) => name.label.length));
    const meant = here.filter(({ name }) => name.label.length === longest);
    const [only] = meant;
    if (only === undefined || meant.length > 1 || isInCode(written.text.slice(0, index))) continue;
    const mention = { from: index, to: index + longest, token: only.name.token };
    found = { text: found.text, mentions: [...found.mentions, mention].sort((a, b) => a.from - b.from) };
  }
  return found;
}

/** Whether a source mentions everybody, as far as that shows before the server has read it. */
export function mentionsEverybody(source: string): boolean {
  return source.includes(HERE.token) || source.includes(ROOM.token);
}

/** Whether a message mentions this person: by name, or with everybody. */
export function mentionsPerson(blocks: readonly Block[] | undefined | null, person: string): "name" | "here" | "room" | null {
  let how: "name" | "here" | "room" | null = null;
  if (!blocks) return null;
  eachMark(blocks, (mark) => {
    if (mark.type !== "mention") return;
    if (mark.person === person) how = "name";
    else if (mark.everybody !== undefined && how !== "name" && how !== "room") how = mark.everybody;
  });
  return how;
}

type Marked = Exclude<Inline, string>;

function eachMark(blocks: readonly Block[], see: (mark: Marked) => void): void {
  for (const block of blocks) {
    if (block.type === "p" || block.type === "heading") eachInline(block.content, see);
    else if (block.type === "quote") eachMark(block.content, see);
    else if (block.type === "list" || block.type === "ordered_list") for (const { content } of block.items) eachMark(content, see);
  }
}

function eachInline(inlines: readonly Inline[], see: (mark: Marked) => void): void {
  for (const inline of inlines) {
    if (typeof inline === "string") continue;
    see(inline);
    if ("content" in inline) eachInline(inline.content, see);
  }
}

/** What is being written before the caret that may become a name: its `@` or `#`, and what follows; null when there is nothing. */
export function nameBefore({ text, mentions }: Written, caret: number): { kind: "person" | "room"; from: number; query: string } | null {
  const found = /(?:^|[\s([{>*_~"'/])([@#][^\n@#]{0,60})$/.exec(text.slice(Math.max(0, caret - 64), caret));
  const said = found?.[1];
  // A number of things is no room, and "# " begins a heading.
  if (said === undefined || /^(?:[@#]\s|#\d)/.test(said)) return null;
  const from = caret - said.length;
  if (mentions.some((mention) => mention.from <= from && from < mention.to) || isInCode(text.slice(0, from))) return null;
  return { kind: said.startsWith("@") ? "person" : "room", from, query: said.slice(1) };
}

/** Those whose name begins so, or a word of it; the best first, and else in the order given. */
export function namesFor<T extends { name: string }>(all: readonly T[], query: string): T[] {
  const wanted = fold(query).trimStart();
  const ranked = all.flatMap((one) => {
    const name = fold(one.name);
    const rank = name.startsWith(wanted) ? 0 : ` ${name}`.includes(` ${wanted}`) ? 1 : null;
    return rank === null ? [] : [{ one, rank }];
  });
  return ranked.sort((a, b) => a.rank - b.rank).map(({ one }) => one);
}

/** Members in the order in which they are likely to be meant: who wrote last comes first, then by name, and oneself last. */
export function likelyFirst<T extends PersonRef>(members: readonly T[], authors: readonly string[], me: string): T[] {
  const place = new Map(authors.map((author, at) => [author, at]));
  const rank = ({ id }: T): number => (id === me ? Infinity : (place.get(id) ?? authors.length));
  return [...members].sort((a, b) => {
    const [left, right] = [rank(a), rank(b)];
    return left === right ? a.name.localeCompare(b.name) : left - right;
  });
}
