/** Initials and a colour for a person without a picture. The same person looks the same everywhere. */

/** Number of colours in avatar.css. */
export const AVATAR_COLOURS = 10;

export function initials(name: string): string {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const first = Array.from(words[0] ?? "?")[0] ?? "?";
  const last = words.length > 1 ? (Array.from(words.at(-1) ?? "")[0] ?? "") : "";
  return (first + last).toLocaleUpperCase();
}

/** FNV-1a over the id, which spreads ids that differ in a few digits only. */
export function colourOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193) >>> 0;
  return ((hash ^ (hash >>> 15)) >>> 0) % AVATAR_COLOURS;
}
