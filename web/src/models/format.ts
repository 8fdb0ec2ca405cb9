/** What the buttons and keys for marks do to a text: which part is replaced by what, and what is selected then. */

export type Format = "bold" | "italic" | "strike" | "code" | "link" | "quote" | "list";

/** `from` to `to` is replaced by `text`; then `start` to `end` of the whole is selected. */
export type Edit = { from: number; to: number; text: string; start: number; end: number };

const MARKS = { bold: "**", italic: "_", strike: "~~", code: "`" } as const;
const LINES = { quote: "> ", list: "- " } as const;

export function format(kind: Format, value: string, start: number, end: number): Edit {
  if (kind === "link") return link(value, start, end);
  if (kind === "quote" || kind === "list") return lines(LINES[kind], value, start, end);
  // White space at the ends of a selection stays outside, where marks count.
  const chosen = value.slice(start, end);
  const from = chosen.trim() === "" ? start : start + chosen.length - chosen.trimStart().length;
  const to = chosen.trim() === "" ? end : end - (chosen.length - chosen.trimEnd().length);
  return kind === "code" && value.slice(from, to).includes("\n") ? fence(value, from, to) : around(MARKS[kind], value, from, to);
}

// Puts the marks around, or takes away those that are there.
function around(mark: string, value: string, from: number, to: number): Edit {
  const { length } = mark;
  const chosen = value.slice(from, to);
  if (value.slice(from - length, from) === mark && value.slice(to, to + length) === mark && from >= length) {
    return { from: from - length, to: to + length, text: chosen, start: from - length, end: to - length };
  }
  if (chosen.length > 2 * length && chosen.startsWith(mark) && chosen.endsWith(mark)) {
    const text = chosen.slice(length, -length);
    return { from, to, text, start: from, end: from + text.length };
  }
  return { from, to, text: mark + chosen + mark, start: from + length, end: to + length };
}

function fence(value: string, from: number, to: number): Edit {
  const before = from === 0 || value[from - 1] === "\n" ? "" : "\n";
  const after = to === value.length || value[to] === "\n" ? "" : "\n";
  const opening = `${before}\`\`\`\n`;
  return { from, to, text: `${opening}${value.slice(from, to)}\n\`\`\`${after}`, start: from + opening.length, end: to + opening.length };
}

function link(value: string, from: number, to: number): Edit {
  const chosen = value.slice(from, to);
  if (/^(https?:\/\/|mailto:)\S+$/i.test(chosen)) return { from, to, text: `[](${chosen})`, start: from + 1, end: from + 1 };
  const address = "https://";
  const start = from + chosen.length + 3;
  return { from, to, text: `[${chosen}](${address})`, start, end: start + address.length };
}

// Begins each line that is touched with the mark; where all have it, takes it away.
function lines(mark: string, value: string, start: number, end: number): Edit {
  const from = value.lastIndexOf("\n", start - 1) + 1;
  const next = value.indexOf("\n", end);
  const to = next < 0 ? value.length : next;
  const before = value.slice(from, to).split("\n");
  const marked = before.every((line) => line.startsWith(mark));
  const text = before.map((line) => (marked ? line.slice(mark.length) : mark + line)).join("\n");
  const cursor = from + text.length;
  return start === end ? { from, to, text, start: cursor, end: cursor } : { from, to, text, start: from, end: cursor };
}
