import { AtSign, CornerUpRight, SmilePlus, type IconNode } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import type { App } from "../models/app.ts";
import { keyOf } from "../models/activity.ts";
import type { Chat } from "../models/chat.ts";
import { beginning } from "../models/content.ts";
import { isDirect } from "../models/kinds.ts";
import type { Layout } from "../models/layout.ts";
import { fullTime, machineTime, momentLabel } from "../models/times.ts";
import { strings } from "../strings.ts";
import type { Activity, ActivityKind } from "../wire.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./Icon.tsx";
import { NameNote } from "./NameNote.tsx";
import { PageLink } from "./PageLink.tsx";
import { RoomsButton } from "./RoomPage.tsx";

/** The filters, in their order. Another kind has its place here, and its words. */
const KINDS: readonly (ActivityKind | null)[] = [null, "mentions", "replies", "reactions"];
const ICONS: Record<Activity["kind"], IconNode> = { mention: AtSign, here: AtSign, room: AtSign, reply: CornerUpRight, reaction: SmilePlus };

/** Who mentioned this person, answered them, and reacted to what they wrote. Each leads to the message in its place. */
export function ActivityPage({ app, chat, layout }: { app: App; chat: Chat; layout: Layout }) {
  const { activity } = chat;
  const { list, kind, more, problem, loading } = activity;
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => title.current?.focus(), []);
  return (
    <>
      <header class="room-header">
        <RoomsButton chat={chat} layout={layout} />
        <h1 ref={title} class="room-name page-title" tabIndex={-1}>
          {strings.activity.title}
        </h1>
      </header>
      <div class="activity" data-region="messages">
        <div class="activity-kinds" role="group" aria-label={strings.activity.show}>
          {KINDS.map((one) => (
            <button key={one ?? "all"} type="button" class="activity-kind" aria-pressed={kind.value === one} onClick={() => activity.filter(one)}>
              {strings.activity.kinds[one ?? "all"]}
            </button>
          ))}
        </div>
        {problem.value && (
          <p class="problem" role="alert">
            {problem.value}{" "}
            <button type="button" class="link-button" onClick={() => void activity.read()}>
              {strings.room.retry}
            </button>
          </p>
        )}
        {list.value === null ? (
          loading.value && <p class="activity-none">{strings.entry.loading}</p>
        ) : list.value.length === 0 ? (
          <p class="activity-none">{strings.activity.none[kind.value ?? "all"]}</p>
        ) : (
          <ol class="activity-list" aria-label={strings.activity.title}>
            {list.value.map((one) => (
              <li key={keyOf(one)}>
                <Entry app={app} chat={chat} one={one} />
              </li>
            ))}
          </ol>
        )}
        {more.value && (
          <button type="button" class="button activity-more" disabled={loading.value} onClick={() => void activity.readMore()}>
            {strings.activity.more}
          </button>
        )}
      </div>
    </>
  );
}

function Entry({ app, chat, one }: { app: App; chat: Chat; one: Activity }) {
  const { actor, kind, message, room, time, emoji = "" } = one;
  const held = chat.find(room);
  const isPrivate = held !== null && isDirect(held.info.value);
  const path = `/rooms/${room}/${message.id}`;
  return (
    <PageLink app={app} path={path} class="activity-entry" testid="activity">
      <Avatar person={actor} />
      <span class="activity-main">
        <span class="activity-what">
          <Icon of={ICONS[kind]} size={14} /> <bdi class="activity-who">{actor.name}</bdi>
          <NameNote person={actor} /> {strings.activity.did[kind](emoji)}{" "}
          <span class="activity-where">
            {isPrivate ? strings.activity.inDirect : strings.activity.inRoom(chat.roomName(room) ?? strings.mentions.unknownRoom)}
          </span>
        </span>
        <span class="activity-text" dir="auto">
          {beginning(message, chat.roomLabel)}
        </span>
      </span>
      <time class="activity-time" dateTime={machineTime(time)} title={fullTime(time)}>
        {momentLabel(time, Date.now())}
      </time>
    </PageLink>
  );
}
