import type { Live } from "../live.ts";
import { strings } from "../strings.ts";

/** A thin bar when the connection has been away for a while. Nothing else changes: the composer goes on working. */
export function ConnectionBar({ live }: { live: Live }) {
  const stopped = live.state.value === "stopped";
  const shown = stopped || live.away.value;
  return (
    <div class="connection" role="status" aria-label={strings.connection.region} hidden={!shown}>
      {shown && (
        <>
          <span>{stopped ? strings.connection.stopped : strings.connection.reconnecting}</span>
          <span aria-hidden="true">·</span>
          <button type="button" class="link-button" onClick={live.tryNow}>
            {stopped ? strings.connection.reconnect : strings.connection.tryNow}
          </button>
        </>
      )}
    </div>
  );
}
