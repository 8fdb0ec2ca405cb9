/** Finds the links in a message's text. Gives pieces of text, never HTML. */
import { shownHost } from "./hosts.ts";

/** `text` is the message's own, but for the host of a link that could be read as another one (`hosts.ts`). */
export type Piece = { text: string; href?: string };

// What a person would call a link: a scheme we allow or "www.", up to white space, a quoting character, or one that is
// invisible and could make the link read as another (controls, bidirectional marks).
const CANDIDATE = /(?:https?:\/\/|mailto:|www\.)[^\s<>"'`{}|\\^\p{Cc}\p{Cf}]+/giu;

const PROTOCOLS = new Set(["http:", "https:", "mailto:"]);

export function pieces(text: string): Piece[] {
  const list: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(CANDIDATE)) {
    const before = text[match.index - 1];
    if (before !== undefined && /[\p{L}\p{N}_]/u.test(before)) continue;
    const written = trimEnd(match[0]);
    const url = safeUrl(written);
    const shown = url && show(written, url);
    if (!shown) continue;
    if (match.index > end) list.push({ text: text.slice(end, match.index) });
    list.push({ text: shown, href: url.href });
    end = match.index + written.length;
  }
  if (end < text.length) list.push({ text: text.slice(end) });
  return list;
}

// The full stop after a link belongs to the sentence, and so does a closing bracket that the link did not open.
function trimEnd(link: string): string {
  let end = link.length;
  for (; end > 0; end--) {
    const last = link.charAt(end - 1);
    if (/[.,;:!?*_~…]/.test(last)) continue;
    const open = { ")": "(", "]": "[" }[last];
    if (!open) break;
    const inside = link.slice(0, end);
    if (inside.split(open).length >= inside.split(last).length) break;
  }
  return link.slice(0, end);
}

// The browser's own parser decides what the address is, so that nothing we show as a link means something else to it.
function safeUrl(link: string): URL | null {
  const address = /^www\./i.test(link) ? `https://${link}` : link;
  if (!URL.canParse(address)) return null;
  const url = new URL(address);
  if (!PROTOCOLS.has(url.protocol)) return null;
  if (url.protocol === "mailto:" ? !url.pathname.includes("@") : url.hostname === "") return null;
  // "https://bank.example@evil.example" reads as one host and opens another.
  if (url.username !== "" || url.password !== "") return null;
  return url;
}

// The link as it was written, with its host as `hosts.ts` shows it; null when there is no telling what the host is.
function show(link: string, url: URL): string | null {
  const parts = (url.protocol === "mailto:" ? /^([^?]*@)([^?]*)()(.*)$/su : /^((?:https?:)?\/*)([^/?#]*?)((?::\d*)?)((?:[/?#].*)?)$/isu).exec(link);
  if (!parts) return null;
  const [, before = "", host = "", port = "", after = ""] = parts;
  if (url.protocol !== "mailto:") return before + shownHost(host, url.hostname) + port + after;
  const address = `https://${host}`;
  return URL.canParse(address) ? before + shownHost(host, new URL(address).hostname) + after : null;
}
