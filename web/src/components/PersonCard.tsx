import { MessageCircle, Pencil } from "lucide";
import { useEffect, useState } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { offsetOf, stateOf } from "../models/profile.ts";
import { clockTimeIn, endTime } from "../models/times.ts";
import { strings } from "../strings.ts";
import type { PersonRef } from "../wire.ts";
import { Avatar } from "./Avatar.tsx";
import { Dialog } from "./Dialog.tsx";
import { Icon } from "./Icon.tsx";
import { NameNote } from "./NameNote.tsx";

const { profile: words, people } = strings;

/** The local time is right to the minute. */
const CLOCK_EVERY_MS = 10_000;

/** Who somebody is: what they say of themselves, whether they are here, what time it is there, and the way to write to them. */
export function PersonCard({ app, chat, person, onClose }: { app: App; chat: Chat; person: PersonRef; onClose: () => void }) {
  const [now, setNow] = useState(() => Date.now());
  const [problem, setProblem] = useState(false);
  useEffect(() => {
    chat.people.look(person.id);
    const timer = setInterval(() => setNow(Date.now()), CLOCK_EVERY_MS);
    return () => clearInterval(timer);
  }, [chat, person.id]);

  const profile = chat.people.find(person.id);
  const who = chat.people.present(person);
  const isMe = person.id === chat.me.id;
  const here = chat.joined.value.flatMap((room) => room.here.value.find((other) => other.id === person.id) ?? []);
  const isKnown = here.length > 0 || isMe;
  const idle = here.length > 0 && here.every((one) => one.idle);
  const state = stateOf(isKnown ? { idle } : null, profile?.quiet !== undefined);
  const quietEnds = profile?.quiet?.ends;
  const role = profile?.role && people.roles[profile.role];
  const offset = profile?.zone ? offsetOf(profile.zone, now) : null;
  const own = offsetOf(undefined, now);

  const write = async (): Promise<void> => {
    setProblem(false);
    try {
      const info = await chat.startDirect([person.id]);
      onClose();
      app.navigate(`/rooms/${info.id}`);
    } catch {
      setProblem(true);
    }
  };

  return (
    <Dialog title={words.card} onClose={onClose} first=".dialog-actions button">
      <div class="person-card" data-testid="person-card">
        <Avatar person={who} />
        <div class="person-card-words">
          <p class="person-card-name">
            <bdi>{who.name}</bdi>
            <NameNote person={who} />
            {isMe && <span class="person-note"> ({people.you})</span>}
          </p>
          {profile?.title && (
            <p class="person-card-title">
              <bdi>{profile.title}</bdi>
            </p>
          )}
          {role && <p class="person-note">{role}</p>}
          {profile?.deactivated && <p class="person-note">{words.deactivated}</p>}
        </div>
      </div>
      <dl class="person-card-facts">
        {!profile?.deactivated && (
          <div>
            <dt>{words.presence}</dt>
            <dd>
              <span class={`state state-${state}`} aria-hidden="true" /> {words.states[state]}
              {state === "quiet" && quietEnds !== undefined && ` ${words.untilTime(endTime(quietEnds, now))}`}
            </dd>
          </div>
        )}
        {profile?.status && (
          <div>
            <dt>{words.status}</dt>
            <dd>
              {profile.status.emoji} <bdi>{profile.status.text}</bdi>
              {profile.status.ends !== undefined && <span class="person-note"> {words.untilTime(endTime(profile.status.ends, now))}</span>}
            </dd>
          </div>
        )}
        {profile?.zone && offset !== null && own !== null && (
          <div>
            <dt>{words.localTime}</dt>
            <dd>{words.time(clockTimeIn(profile.zone, now), offset - own)}</dd>
          </div>
        )}
      </dl>
      {problem && (
        <p class="problem" role="alert">
          {words.writeFailed}
        </p>
      )}
      <div class="dialog-actions">
        {isMe ? (
          <button
            type="button"
            class="button"
            onClick={() => {
              onClose();
              app.navigate("/settings/profile");
            }}
          >
            <Icon of={Pencil} size={16} />
            {words.edit}
          </button>
        ) : (
          !profile?.deactivated && (
            <button type="button" class="button button-primary" onClick={() => void write()}>
              <Icon of={MessageCircle} size={16} />
              {people.message}
            </button>
          )
        )}
      </div>
    </Dialog>
  );
}
