/** Initials and a colour for a person without a picture. The same person looks the same everywhere. */

/** Number of colours in avatar.css. */
export const AVATAR_COLOURS = 10;

const LETTER = /[\p{L}\p{N}]/u;

/** The first letter or digit of the first and the last word that have one; without any, the first sign of the name. */
export function initials(name: string): string {
  const found = name.split(/\s+/u).flatMap((word) => graphemes(word).find((sign) => LETTER.test(sign)) ?? []);
  const shown = found.length > 1 ? [found[0], found.at(-1)] : [found[0] ?? graphemes(name.trim())[0] ?? "?"];
  return shown.join("").toLocaleUpperCase();
}

/** What a reader takes for one sign, however many code points it has. */
function graphemes(text: string): string[] {
  const { Segmenter } = Intl as Partial<typeof Intl>;
  if (!Segmenter) return Array.from(text);
  return Array.from(new Segmenter(undefined, { granularity: "grapheme" }).segment(text), ({ segment }) => segment);
}

/** FNV-1a over the id, which spreads ids that differ in a few digits only. */
export function colourOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193) >>> 0;
  return ((hash ^ (hash >>> 15)) >>> 0) % AVATAR_COLOURS;
}
