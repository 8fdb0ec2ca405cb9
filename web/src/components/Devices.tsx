import { Laptop } from "lucide";
import { useEffect, useState } from "preact/hooks";
import type { App } from "../models/app.ts";
import { deviceName } from "../models/device.ts";
import { describe } from "../models/problems.ts";
import { fullTime } from "../models/times.ts";
import { strings } from "../strings.ts";
import type { DeviceSession } from "../wire.ts";
import { Dialog } from "./Dialog.tsx";
import { Icon } from "./Icon.tsx";

/** Where this person is signed in, and the way to end that from here. */
export function Devices({ app, onClose }: { app: App; onClose: () => void }) {
  const [sessions, setSessions] = useState<DeviceSession[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);

  useEffect(() => {
    app.api.sessions().then(
      (found) => setSessions(found.sessions),
      () => setProblem(strings.me.devicesFailed),
    );
  }, [app]);

  const revoke = async (id: string): Promise<void> => {
    try {
      await app.api.revokeSession(id);
      setSessions((before) => before?.filter((session) => session.id !== id) ?? null);
    } catch (error) {
      setProblem(describe(error));
    }
  };

  return (
    <Dialog title={strings.me.devices} onClose={onClose} wide>
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <ul class="browse">
        {sessions?.map((session) => {
          const name = deviceName(session.user_agent ?? "") ?? strings.me.unknownDevice;
          return (
            <li key={session.id} class="browse-room">
              <Icon of={Laptop} />
              <div class="browse-words">
                <strong>{name}</strong>
                <p class="browse-count">{session.current ? strings.me.thisDevice : strings.me.lastSeen(fullTime(session.last_seen))}</p>
              </div>
              {!session.current && (
                <button
                  type="button"
                  class="button"
                  aria-label={strings.me.signOutDeviceLabel(name)}
                  onClick={() => void revoke(session.id)}
                >
                  {strings.me.signOutDevice}
                </button>
              )}
            </li>
          );
        })}
      </ul>
    </Dialog>
  );
}
