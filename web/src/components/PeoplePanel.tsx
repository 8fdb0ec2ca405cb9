import { X } from "lucide";
import { useEffect, useRef, useState } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import type { Layout } from "../models/layout.ts";
import { byName } from "../models/presence.ts";
import { stateOf } from "../models/profile.ts";
import type { Room } from "../models/room.ts";
import { strings } from "../strings.ts";
import type { Member, PersonRef } from "../wire.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./Icon.tsx";
import { NameNote } from "./NameNote.tsx";
import { PersonMenu } from "./PersonMenu.tsx";
import { StatusMark } from "./StatusMark.tsx";

/** Of so many members what they say of themselves is asked for, which are the first by name. */
const PROFILES_SHOWN_MAX = 300;

type Props = { app: App; chat: Chat; room: Room; layout: Layout };

/** Who is here now, and who else belongs to the room. */
export function PeoplePanel({ app, chat, room, layout }: Props) {
  const [members, setMembers] = useState<Member[] | null>(null);
  const [failed, setFailed] = useState(false);
  const close = useRef<HTMLButtonElement>(null);
  const membership = room.membership.value;

  useEffect(() => {
    let current = true;
    app.api.members(room.id).then(
      (answer) => {
        if (!current) return;
        setMembers(answer.members);
        setFailed(false);
      },
      () => current && setFailed(true),
    );
    return () => {
      current = false;
    };
  }, [app, room, membership]);

  useEffect(() => {
    const opener = document.activeElement;
    close.current?.focus();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);

  const here = room.here.value;
  const present = new Map(here.map((person) => [person.id, person]));
  const known = new Map(members?.map((member) => [member.id, member]));
  const away = (members ?? []).filter((member) => !present.has(member.id)).sort(byName);
  const info = room.info.value;

  useEffect(() => {
    if (members) chat.people.want(members.slice(0, PROFILES_SHOWN_MAX).map((member) => member.id));
  }, [chat, members]);

  const person = (ref: PersonRef) => {
    const member = known.get(ref.id);
    // What stands at a connection is from when it was made.
    const who = chat.people.present(member ?? ref);
    const profile = chat.people.find(who.id);
    const state = stateOf(present.get(who.id) ?? null, profile?.quiet !== undefined);
    const said = [profile?.status?.text, (state === "idle" || state === "quiet") && strings.profile.states[state]].filter(Boolean);
    const role = member?.server_role && strings.people.roles[member.server_role];
    const notes = [role, member?.role === "owner" && strings.people.roomOwner].filter(Boolean);
    return (
      <li key={who.id} class="person">
        <span class="person-avatar">
          <Avatar person={who} small />
          {state !== "offline" && <span class={`presence presence-${state}`} aria-hidden="true" />}
        </span>
        <span class="person-name">
          <button type="button" class="person-button" onClick={() => (layout.dialog.value = { name: "person", person: who })}>
            <bdi>{who.name}</bdi>
          </button>
          <NameNote person={who} />
          <StatusMark chat={chat} person={who.id} />
          {who.id === chat.me.id && <span class="person-note"> ({strings.people.you})</span>}
          {said.length > 0 && <span class="person-state">{said.join(" · ")}</span>}
          {notes.length > 0 && <span class="person-note person-role">{notes.join(", ")}</span>}
        </span>
        {member && <PersonMenu app={app} chat={chat} room={room} layout={layout} member={member} />}
      </li>
    );
  };

  return (
    <aside class="people" aria-label={strings.people.region} data-region="people">
      <header class="people-header">
        <h2>{strings.people.region}</h2>
        <button ref={close} type="button" class="icon-button" aria-label={strings.people.close} onClick={() => (layout.people.value = false)}>
          <Icon of={X} />
        </button>
      </header>
      {info.description && (
        <>
          <h3 id="people-about">{strings.people.about}</h3>
          <p class="people-about">{info.description}</p>
        </>
      )}
      <h3 id="people-here">{strings.people.here(here.length)}</h3>
      <ul aria-labelledby="people-here" data-testid="people-here">
        {here.map((who) => person(who))}
      </ul>
      {away.length > 0 && (
        <>
          <h3 id="people-away">{strings.people.members(away.length)}</h3>
          <ul aria-labelledby="people-away" data-testid="people-away">
            {away.map((who) => person(who))}
          </ul>
        </>
      )}
      {failed && <p class="problem">{strings.people.failed}</p>}
    </aside>
  );
}
