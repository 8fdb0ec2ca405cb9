/** What may be opened from a message, and what is shown of it. The server found the link; the browser has the last word. */
import type { Inline } from "../wire.ts";
import { shownHost } from "./hosts.ts";

/** An address that is shown itself (`text`), or words that lead somewhere (`to`, which is shown beside them). */
export type Link = { href: string; text: string } | { href: string; to: string };

const PROTOCOLS = new Set(["http:", "https:", "mailto:"]);

/** The link of the server's tree; null where the browser makes something else of its address. */
export function linkOf(href: string, content: readonly Inline[] | undefined): Link | null {
  const url = safeUrl(href);
  const [only, ...more] = content ?? [href];
  const address = more.length === 0 && typeof only === "string" && (only === href || `https://${only}` === href) ? only : null;
  const parts = url && partsOf(address ?? href, url);
  if (!parts) return null;
  const { before, host, port, after } = parts;
  if (address !== null) return { href: url.href, text: before + host + port + after };
  return { href: url.href, to: url.protocol === "mailto:" ? before.replace(/^mailto:/i, "") + host : host + port };
}

// The browser's own parser decides what the address is, so that nothing we show as a link means something else to it.
function safeUrl(address: string): URL | null {
  if (!URL.canParse(address)) return null;
  const url = new URL(address);
  if (!PROTOCOLS.has(url.protocol)) return null;
  if (url.protocol === "mailto:" ? !url.pathname.includes("@") : url.hostname === "") return null;
  // "https://bank.example@evil.example" reads as one host and opens another.
  if (url.username !== "" || url.password !== "") return null;
  return url;
}

// The address as it was written, with its host as `hosts.ts` shows it; null when there is no telling what the host is.
function partsOf(address: string, url: URL): { before: string; host: string; port: string; after: string } | null {
  const isMail = url.protocol === "mailto:";
  const parts = (isMail ? /^([^?]*@)([^?]*)()(.*)$/su : /^((?:https?:)?\/*)([^/?#]*?)((?::\d*)?)((?:[/?#].*)?)$/isu).exec(address);
  if (!parts) return null;
  const [, before = "", host = "", port = "", after = ""] = parts;
  if (!isMail) return { before, host: shownHost(host, url.hostname), port, after };
  if (!URL.canParse(`https://${host}`)) return null;
  return { before, host: shownHost(host, new URL(`https://${host}`).hostname), port, after };
}
