import { X } from "lucide";
import { useEffect, useRef, useState } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import type { Layout } from "../models/layout.ts";
import { byName } from "../models/presence.ts";
import type { Room } from "../models/room.ts";
import { strings } from "../strings.ts";
import type { Member } from "../wire.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./Icon.tsx";
import { NameNote } from "./NameNote.tsx";

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
  const roles = new Map(members?.map((member) => [member.id, member.role]));
  const alike = new Set(members?.filter((member) => member.same_name).map((member) => member.id));
  const away = (members ?? []).filter((member) => !hereIds.has(member.id)).sort(byName);
  const mayRemove = chat.me.role === "admin";

  const person = (who: { id: string; name: string }, isHere: boolean) => (
    <li key={who.id} class="person">
      <span class="person-avatar">
        <Avatar person={who} small />
        {isHere && <span class="presence" aria-hidden="true" />}
      </span>
      <span class="person-name">
        <bdi>{who.name}</bdi>
        <NameNote person={{ ...who, same_name: alike.has(who.id) }} />
        {who.id === chat.me.id && <span class="person-note"> ({strings.people.you})</span>}
        {roles.get(who.id) === "admin" && <span class="person-note person-role">{strings.people.admin}</span>}
      </span>
      {mayRemove && who.id !== chat.me.id && (
        <button
          type="button"
          class="link-button person-remove"
          aria-label={strings.people.removeLabel(who.name)}
          onClick={() => (layout.dialog.value = { name: "remove-member", room: room.id, person: who })}
        >
          {strings.people.remove}
        </button>
      )}
    </li>
  );

  return (
    <aside class="people" aria-label={strings.people.region} data-region="people">
      <header class="people-header">
        <h2>{strings.people.region}</h2>
        <button ref={close} type="button" class="icon-button" aria-label={strings.people.close} onClick={() => (layout.people.value = false)}>
          <Icon of={X} />
        </button>
      </header>
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
