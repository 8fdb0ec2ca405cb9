import type { Chat } from "../models/chat.ts";
import { strings } from "../strings.ts";

const { connection } = strings;

/**
 * A thin bar when the connection has been away for a while, or stands and the server takes no messages. Nothing else
 * changes: the composer goes on working.
 */
export function ConnectionBar({ chat }: { chat: Chat }) {
  const { live, outbox } = chat;
  const said = what(chat);
  return (
    <div class="connection" role="status" aria-label={connection.region} hidden={!said}>
      {said && (
        <>
          <span>{said}</span>
          <span aria-hidden="true">·</span>
          <button
            type="button"
            class="link-button"
            onClick={() => {
              if (live.state.peek() === "connected") outbox.tryNow();
              else live.tryNow();
            }}
          >
            {live.state.value === "stopped" ? connection.reconnect : connection.tryNow}
          </button>
        </>
      )}
    </div>
  );
}

function what({ live, hindrance }: Chat): string | null {
  if (live.state.value === "stopped") return connection.stopped;
  if (live.away.value) return connection.reconnecting;
  return hindrance.value && connection.hindered(hindrance.value);
}
