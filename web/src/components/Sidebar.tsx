import {
  ArrowDownAZ,
  AtSign,
  BellOff,
  CheckCheck,
  Compass,
  History,
  Keyboard,
  Laptop,
  ListFilter,
  LogOut,
  MessagesSquare,
  Monitor,
  Moon,
  Pencil,
  Plus,
  Search,
  Settings,
  Smile,
  Sun,
  type IconNode,
} from "lucide";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { partner } from "../models/kinds.ts";
import type { Layout } from "../models/layout.ts";
import type { Order, Section } from "../models/listing.ts";
import { stateOf } from "../models/profile.ts";
import type { Room } from "../models/room.ts";
import { showTheme, type Theme } from "../models/settings.ts";
import { strings } from "../strings.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./Icon.tsx";
import { Logo } from "./Logo.tsx";
import { Menu } from "./Menu.tsx";
import { RoomNote } from "./NameNote.tsx";
import { PageLink } from "./PageLink.tsx";
import { focusComposer } from "./keyboard.ts";
import { commandKey } from "./platform.ts";
import { KindNote, RoomIcon } from "./RoomIcon.tsx";
import { RoomLink } from "./RoomLink.tsx";
import { StatusMark } from "./StatusMark.tsx";

type Props = { app: App; chat: Chat; layout: Layout };

/** The rooms, the way to more of them, and this person's own menu. On a narrow screen it slides in from the left. */
export function Sidebar({ app, chat, layout }: Props) {
  const element = useRef<HTMLElement>(null);
  const open = layout.rooms.value;
  const hidden = !layout.wide.value && !open;

  useEffect(() => {
    if (!open) return;
    const opener = document.activeElement;
    const sidebar = element.current;
    sidebar?.querySelector<HTMLElement>("[aria-current=page], a, button")?.focus();
    return () => {
      const inside = sidebar?.contains(document.activeElement) ?? false;
      if (inside && opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, [open]);

  const opened = (): void => {
    layout.rooms.value = false;
    requestAnimationFrame(() => focusComposer());
  };

  return (
    <nav ref={element} class={open ? "sidebar sidebar-open" : "sidebar"} aria-label={strings.rooms.region} data-region="rooms" inert={hidden}>
      <header class="sidebar-header">
        <Logo size={26} />
        <span class="sidebar-server" title={app.boot.server_name}>
          <bdi>{app.boot.server_name}</bdi>
        </span>
      </header>
      <button type="button" class="jump" aria-keyshortcuts="Control+K Meta+K" onClick={() => (layout.dialog.value = { name: "switcher" })}>
        <Icon of={Search} size={16} />
        <span>{strings.rooms.jump}</span>
        <kbd aria-hidden="true">{commandKey()}+K</kbd>
      </button>
      <div class="sidebar-lists">
        <Pages app={app} chat={chat} onOpened={() => (layout.rooms.value = false)} />
        {chat.sections.value.map((section) => (
          <SectionOfRooms key={section.kind === "own" ? `own ${section.name}` : section.kind} app={app} chat={chat} layout={layout} section={section} onOpened={opened} />
        ))}
      </div>
      <MyMenu app={app} chat={chat} layout={layout} />
    </nav>
  );
}

const ORDERS: Record<Order, IconNode> = { name: ArrowDownAZ, recent: History, unread: ListFilter };

/** Some rooms under their heading, with what there is to do for all of their kind. */
function SectionOfRooms({ app, chat, layout, section, onOpened }: Props & { section: Section<Room>; onOpened: () => void }) {
  const id = useId();
  const { rooms } = section;
  const none = section.kind === "rooms" ? strings.rooms.none : strings.direct.none;
  return (
    <>
      <div class="sidebar-section">
        <h2 id={id}>{section.kind === "own" ? <bdi>{section.name}</bdi> : HEADINGS[section.kind]}</h2>
        {section.kind === "rooms" && (
          <span class="sidebar-section-actions">
            <Menu
              label={strings.rooms.order}
              class="icon-button icon-button-small"
              button={<Icon of={ORDERS[chat.order.value]} size={16} />}
              items={(["name", "recent", "unread"] as const).map((order) => ({
                label: strings.rooms.orders[order],
                icon: <Icon of={ORDERS[order]} />,
                checked: chat.order.value === order,
                onSelect: () => chat.listBy(order),
              }))}
            />
            {chat.role.value !== "guest" && (
              <Menu
                label={strings.rooms.add}
                class="icon-button icon-button-small"
                button={<Icon of={Plus} size={16} />}
                items={[
                  { label: strings.rooms.create, icon: <Icon of={Plus} />, onSelect: () => (layout.dialog.value = { name: "create-room" }) },
                  { label: strings.rooms.browse, icon: <Icon of={Compass} />, onSelect: () => (layout.dialog.value = { name: "browse-rooms" }) },
                ]}
              />
            )}
          </span>
        )}
        {section.kind === "directs" && (
          <button
            type="button"
            class="icon-button icon-button-small"
            aria-label={strings.direct.add}
            title={strings.direct.add}
            onClick={() => (layout.dialog.value = { name: "new-direct" })}
          >
            <Icon of={Plus} size={16} />
          </button>
        )}
      </div>
      <ul class="rooms" aria-labelledby={id}>
        {rooms.map((room) => (
          <li key={room.id}>
            <RoomEntry app={app} chat={chat} room={room} current={room.id === chat.open.value} onOpened={onOpened} />
          </li>
        ))}
        {chat.ready.value && rooms.length === 0 && !isElsewhere(chat, section) && <li class="rooms-none">{none}</li>}
      </ul>
    </>
  );
}

const HEADINGS = { favourites: strings.rooms.favourites, rooms: strings.rooms.heading, directs: strings.direct.heading };

/** Whether there are rooms of its kind under other headings. */
function isElsewhere(chat: Chat, section: Section<Room>): boolean {
  return chat.shown.value.some((room) => room.listed.direct === (section.kind === "directs"));
}

function RoomEntry({ app, chat, room, current, onOpened }: { app: App; chat: Chat; room: Room; current: boolean; onOpened: () => void }) {
  const { name, muted } = room.info.value;
  const other = partner(room.info.value);
  const found = room.here.value.find((person) => person.id === other?.id) ?? null;
  const here = other === null ? "offline" : stateOf(found, chat.people.find(other.id)?.quiet !== undefined);
  const { count, more } = room.calling.value;
  const mentions = room.mentioned.value;
  const some = (count > 0 || more || mentions > 0) && !(current && document.visibilityState === "visible" && count === 0);
  const words = count > 0 && !more ? strings.rooms.unread(count) : strings.rooms.someUnread;
  return (
    <RoomLink app={app} room={room.id} class={`room-link${some ? " room-link-unread" : ""}${muted ? " room-link-muted" : ""}`} current={current} onOpened={onOpened}>
      <RoomIcon room={room.info.value} me={chat.me} size={16} here={here} />
      <span class="room-link-name">
        <bdi>{name}</bdi>
      </span>
      <KindNote room={room.info.value} />
      {here !== "offline" && <span class="visually-hidden">, {strings.profile.inName[here]}</span>}
      {other && <StatusMark chat={chat} person={other.id} />}
      <RoomNote room={room.info.value} />
      {muted && (
        <span class="room-link-note" title={strings.rooms.muted}>
          <Icon of={BellOff} size={14} />
          <span class="visually-hidden">, {strings.rooms.muted}</span>
        </span>
      )}
      {!current && room.drafted.value && (
        <span class="room-link-note" title={strings.rooms.draft}>
          <Icon of={Pencil} size={14} />
          <span class="visually-hidden">, {strings.rooms.draft}</span>
        </span>
      )}
      {some && (
        <>
          {mentions > 0 && (
            <>
              <span class="badge badge-mention" aria-hidden="true">
                @{Math.min(mentions, 99)}
              </span>
              <span class="visually-hidden">, {strings.mentions.count(mentions)}</span>
            </>
          )}
          {count === 0 && !more ? null : count > 0 ? (
            <span class="badge" aria-hidden="true">
              {count > 99 || more ? `${Math.min(count, 99)}+` : count}
            </span>
          ) : (
            <span class="dot" aria-hidden="true" />
          )}
          {(count > 0 || more) && <span class="visually-hidden">, {words}</span>}
        </>
      )}
    </RoomLink>
  );
}

/** The pages beside the rooms: what concerns this person, and the threads that they follow. */
function Pages({ app, chat, onOpened }: { app: App; chat: Chat; onOpened: () => void }) {
  const [mentions, unread] = [chat.mentionsTotal.value, chat.threads.unread.value];
  return (
    <ul class="rooms">
      <PageEntry
        app={app}
        path="/activity"
        icon={AtSign}
        name={strings.activity.entry}
        current={chat.activity.open.value}
        count={mentions}
        words={strings.mentions.count(mentions)}
        badge="badge badge-mention"
        onOpened={onOpened}
      />
      <PageEntry
        app={app}
        path="/threads"
        icon={MessagesSquare}
        name={strings.threads.heading}
        current={chat.overview.value}
        count={unread}
        words={strings.threads.waiting(unread)}
        badge="badge"
        onOpened={onOpened}
      />
    </ul>
  );
}

type PageEntryProps = { app: App; path: string; icon: IconNode; name: string; current: boolean; count: number; words: string; badge: string; onOpened: () => void };

function PageEntry({ app, path, icon, name, current, count, words, badge, onOpened }: PageEntryProps) {
  return (
    <li>
      <PageLink app={app} path={path} class={count > 0 ? "room-link room-link-unread" : "room-link"} current={current} onOpened={onOpened}>
        <Icon of={icon} size={16} />
        <span class="room-link-name">{name}</span>
        {count > 0 && (
          <>
            <span class={badge} aria-hidden="true">
              {count > 99 ? "99+" : count}
            </span>
            <span class="visually-hidden">, {words}</span>
          </>
        )}
      </PageLink>
    </li>
  );
}

function MyMenu({ app, chat, layout }: Props) {
  const [theme, setTheme] = useState<Theme>(chat.settings.theme);
  const [problem, setProblem] = useState(false);
  const choose = (next: Theme): void => {
    chat.settings.theme = next;
    showTheme(next);
    setTheme(next);
  };
  const signOut = (): void => {
    if (chat.outbox.size > 0) layout.dialog.value = { name: "sign-out" };
    else app.signOut().catch(() => setProblem(true));
  };
  const { me } = strings;
  const profile = chat.people.find(chat.me.id);
  const own = chat.people.present(chat.me);
  const quiet = profile?.quiet !== undefined;
  const turnQuiet = (): void => {
    chat.editProfile({ quiet: quiet ? null : {} }).then(() => chat.tell(quiet ? me.quietEnded : me.quietBegun), (error: unknown) => chat.fail(error));
  };
  return (
    <footer class="sidebar-footer">
      {problem && (
        <p class="problem" role="alert">
          {strings.errors.unreachable}
        </p>
      )}
      <Menu
        label={me.menu(own.name)}
        class="me"
        speaks
        above
        align="start"
        button={
          <>
            <Avatar person={own} small />
            <span class="me-name">
              <bdi>{own.name}</bdi>
              <span class="visually-hidden">{me.yours}</span>
            </span>
            {quiet && (
              <span class="me-quiet" title={me.isQuiet} aria-hidden="true">
                <Icon of={BellOff} size={14} />
              </span>
            )}
          </>
        }
        items={[
          { label: me.system, group: me.theme, icon: <Icon of={Monitor} />, checked: theme === "system", onSelect: () => choose("system") },
          { label: me.light, icon: <Icon of={Sun} />, checked: theme === "light", onSelect: () => choose("light") },
          { label: me.dark, icon: <Icon of={Moon} />, checked: theme === "dark", onSelect: () => choose("dark") },
          { label: me.readAll, group: chat.email.value, icon: <Icon of={CheckCheck} />, onSelect: () => void chat.markAllRead() },
          { label: me.setStatus, icon: <Icon of={Smile} />, onSelect: () => app.navigate("/settings/profile") },
          { label: quiet ? me.endQuiet : me.beginQuiet, icon: <Icon of={BellOff} />, onSelect: turnQuiet },
          { label: me.shortcuts, icon: <Icon of={Keyboard} />, onSelect: () => (layout.dialog.value = { name: "shortcuts" }) },
          { label: me.settings, icon: <Icon of={Settings} />, onSelect: () => app.navigate("/settings/profile") },
          { label: me.devices, icon: <Icon of={Laptop} />, onSelect: () => app.navigate("/settings/sessions") },
          { label: me.signOut, icon: <Icon of={LogOut} />, onSelect: signOut },
        ]}
      />
    </footer>
  );
}
