/** What the shell says about the server before anything is asked. */
import type { Boot } from "./wire.ts";

export function readBoot(): Boot {
  const content = document.querySelector<HTMLMetaElement>('meta[name="tidings-boot"]')?.content;
  const found = parse(content ?? "");
  return {
    server_name: found.server_name ?? "Tidings",
    version: found.version ?? "",
    websocket_url: ownHost(found.websocket_url ?? "/connection/websocket"),
    setup_needed: found.setup_needed ?? false,
    only_this_computer: found.only_this_computer ?? false,
    public_url: found.public_url ?? location.origin,
  };
}

function parse(content: string): Partial<Boot> {
  try {
    return JSON.parse(content) as Partial<Boot>;
  } catch {
    return {};
  }
}

// The page may have been reached under another of the server's names; the cookie and the content security policy
// belong to the one in the address bar.
function ownHost(url: string): string {
  const own = new URL(url, location.href);
  own.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  own.host = location.host;
  return own.href;
}
