/**
 * How long a text is, in bytes for the server and in characters for people, and a text that is too long for one message as
 * several: cut between paragraphs where it can be, else between lines, words, characters. Code that is cut is code in both.
 */

const encoder = new TextEncoder();
const FENCE = /^ {0,3}(`{3,}|~{3,})([^\n]*)$/;
/** Bytes kept for closing code in a message, and for opening it again in the next one. */
const FENCE_BYTES = 64;

export function bytesOf(text: string): number {
  return encoder.encode(text).length;
}

/** How many characters of this text's kind fit into so many bytes. */
export function charactersIn(bytes: number, text: string): number {
  const characters = Array.from(text).length;
  return characters === 0 ? bytes : Math.floor((bytes * characters) / bytesOf(text));
}

/** How many characters at the end of a text do not fit into so many bytes. */
export function charactersOver(text: string, bytesMax: number): number {
  const rest = text.slice(fitting(text, bytesMax));
  const { Segmenter } = Intl as { Segmenter?: typeof Intl.Segmenter };
  // What people count, as long as that takes no time.
  return Segmenter && rest.length < 10_000 ? Array.from(new Segmenter().segment(rest)).length : Array.from(rest).length;
}

/** A text as it is sent: without empty lines around it. The first of several lines keeps its spaces, which may be those of code. */
export function trimmed(draft: string): string {
  const text = draft.trimEnd().replace(/^(?:[^\S\n]*\n)+/, "");
  return text.includes("\n") ? text : text.trim();
}

/** The text as messages of at most so many bytes each. */
export function split(text: string, bytesMax: number): string[] {
  const pieces: string[] = [];
  let rest = text.trimEnd();
  while (bytesOf(rest) > bytesMax) {
    const end = fitting(rest, bytesMax - FENCE_BYTES);
    const at = cutBefore(rest, end);
    const piece = rest.slice(0, at).trimEnd();
    const fence = openFence(piece);
    pieces.push(fence ? `${piece}\n${fence.mark}` : piece);
    rest = rest.slice(at).replace(/^(?:[^\S\n]*\n)+/, "");
    if (fence) rest = `${fence.line}\n${rest}`;
  }
  return [...pieces, rest].filter((piece) => piece.trim() !== "");
}

// The last good place to cut a text before `end`; not in the first half, so that there are not many short messages.
function cutBefore(text: string, end: number): number {
  let [paragraph, line] = [0, 0];
  let open: Fence | null = null;
  for (let next = text.indexOf("\n"); next >= 0 && next < end; next = text.indexOf("\n", line)) {
    const before = text.slice(line, next);
    open = fenceAfter(open, before);
    line = next + 1;
    // Between paragraphs of code is no place between paragraphs.
    if (before.trim() === "" && !open) paragraph = line;
  }
  const word = text.lastIndexOf(" ", end - 1) + 1;
  return [paragraph, line, word].find((at) => at > end / 2) ?? end;
}

/** Code that is open: the line that opened it, and what closes it. */
type Fence = { line: string; mark: string };

/** The code that is open at the end of a text, as far as it can be opened again. */
function openFence(text: string): Fence | null {
  const open = text.split("\n").reduce(fenceAfter, null);
  if (!open) return null;
  const mark = open.mark.length < FENCE_BYTES / 4 ? open.mark : open.mark.slice(0, 3);
  return { mark, line: bytesOf(open.line) < FENCE_BYTES / 2 ? open.line : mark };
}

function fenceAfter(open: Fence | null, line: string): Fence | null {
  const [, mark = "", info = ""] = FENCE.exec(line) ?? [];
  if (mark === "" || (mark.startsWith("`") && info.includes("`"))) return open;
  if (!open) return { line, mark };
  return info.trim() === "" && mark.startsWith(open.mark) ? null : open;
}

// How many UTF-16 units of a text fit into so many bytes, in whole characters.
function fitting(text: string, bytesMax: number): number {
  if (bytesOf(text) <= bytesMax) return text.length;
  const { read } = encoder.encodeInto(text, new Uint8Array(bytesMax));
  // A pair that makes up one character, a mark or a joiner stays with what it belongs to.
  let end = read;
  while (end > 0 && read - end < 40 && /^(?:\p{M}|\u200d|\p{Emoji_Modifier})/u.test(text.slice(end))) end -= 1;
  while (end > 0 && text.charAt(end - 1) === "\u200d") end -= 1;
  const isLow = end > 0 && /[\udc00-\udfff]/.test(text.charAt(end)) && /[\ud800-\udbff]/.test(text.charAt(end - 1));
  return isLow ? end - 1 : end || read;
}
