import { Laptop } from "lucide";
import { useEffect, useState } from "preact/hooks";
import type { App } from "../../models/app.ts";
import { deviceName } from "../../models/device.ts";
import { describe } from "../../models/problems.ts";
import { fullTime, machineTime, relativeTime } from "../../models/times.ts";
import { strings } from "../../strings.ts";
import type { DeviceSession } from "../../wire.ts";
import { Icon } from "../Icon.tsx";

const { me: words } = strings;

/** Where this person is signed in, and the way to end that from here. */
export function SessionsSection({ app }: { app: App }) {
  const [sessions, setSessions] = useState<DeviceSession[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [done, setDone] = useState("");

  useEffect(() => {
    app.api.sessions().then(
      (found) => setSessions(found.sessions),
      () => setProblem(words.devicesFailed),
    );
  }, [app]);

  const keep = (which: (session: DeviceSession) => boolean): void => setSessions((before) => before?.filter(which) ?? null);
  const attempt = (task: Promise<void>): void => {
    setProblem(null);
    task.catch((error: unknown) => setProblem(describe(error)));
  };
  const revoke = async ({ id }: DeviceSession, name: string): Promise<void> => {
    await app.api.revokeSession(id);
    keep((session) => session.id !== id);
    setDone(words.deviceSignedOut(name));
  };
  const revokeOthers = async (): Promise<void> => {
    const { ended } = await app.api.revokeOtherSessions();
    keep((session) => session.current);
    setDone(words.othersSignedOut(ended));
  };

  return (
    <div class="settings-form">
      <h3>{words.devices}</h3>
      <p class="settings-lead">{words.devicesLead}</p>
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <ul class="browse" aria-label={words.devices}>
        {sessions?.map((session) => {
          const name = deviceName(session.user_agent ?? "") ?? words.unknownDevice;
          return (
            <li key={session.id} class="browse-room">
              <Icon of={Laptop} />
              <div class="browse-words">
                <strong>{name}</strong>
                <p class="browse-count">
                  {session.current ? (
                    words.thisDevice
                  ) : (
                    <time dateTime={machineTime(session.last_seen)} title={fullTime(session.last_seen)}>
                      {words.lastSeen(relativeTime(session.last_seen, Date.now()))}
                    </time>
                  )}
                  {session.address && ` · ${session.address}`}
                </p>
              </div>
              {!session.current && (
                <button type="button" class="button" aria-label={words.signOutDeviceLabel(name)} onClick={() => attempt(revoke(session, name))}>
                  {words.signOutDevice}
                </button>
              )}
            </li>
          );
        })}
      </ul>
      <div class="settings-actions">
        {(sessions?.length ?? 0) > 1 && (
          <button type="button" class="button" onClick={() => attempt(revokeOthers())}>
            {words.signOutOthers}
          </button>
        )}
        <span class="settings-done" role="status">
          {done}
        </span>
      </div>
    </div>
  );
}
