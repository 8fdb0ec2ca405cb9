import { X } from "lucide";
import { useEffect, useRef, useState } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import type { Layout } from "../models/layout.ts";
import { byName } from "../models/presence.ts";
import type { Room } from "../models/room.ts";
import { strings } from "../strings.ts";
import type { Member, PersonRef } from "../wire.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./Icon.tsx";
import { NameNote } from "./NameNote.tsx";
import { PersonMenu } from "./PersonMenu.tsx";

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
  const hereIds = new Set(here.map((person) => person.id));
  const known = new Map(members?.map((member) => [member.id, member]));
  const away = (members ?? []).filter((member) => !hereIds.has(member.id)).sort(byName);
  const info = room.info.value;

  const person = (who: PersonRef, isHere: boolean) => {
    const member = known.get(who.id);
    const role = member?.server_role && strings.people.roles[member.server_role];
    const notes = [role, member?.role === "owner" && strings.people.roomOwner].filter(Boolean);
    return (
      <li key={who.id} class="person">
        <span class="person-avatar">
          <Avatar person={who} small />
          {isHere && <span class="presence" aria-hidden="true" />}
        </span>
        <span class="person-name">
          <bdi>{who.name}</bdi>
          <NameNote person={{ ...who, same_name: member?.same_name ?? false }} />
          {who.id === chat.me.id && <span class="person-note"> ({strings.people.you})</span>}
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
        {here.map((who) => person(who, true))}
      </ul>
      {away.length > 0 && (
        <>
          <h3 id="people-away">{strings.people.members(away.length)}</h3>
          <ul aria-labelledby="people-away" data-testid="people-away">
            {away.map((who) => person(who, false))}
          </ul>
        </>
      )}
      {failed && <p class="problem">{strings.people.failed}</p>}
    </aside>
  );
}
