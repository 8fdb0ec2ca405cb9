import { MessagesSquare } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import type { Layout } from "../models/layout.ts";
import { fullTime, machineTime, momentLabel } from "../models/times.ts";
import { named, strings } from "../strings.ts";
import type { Answered, ThreadCard } from "../wire.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./Icon.tsx";
import { RoomIcon } from "./RoomIcon.tsx";
import { RoomLink } from "./RoomLink.tsx";
import { RoomsButton } from "./RoomPage.tsx";
import { Toast } from "./Toast.tsx";

/** The threads that this person follows, the one that was answered last first. */
export function ThreadsPage({ app, chat, layout }: { app: App; chat: Chat; layout: Layout }) {
  const { threads } = chat;
  const list = threads.list.value;
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => title.current?.focus(), []);
  return (
    <>
      <header class="room-header">
        <RoomsButton chat={chat} layout={layout} />
        <span class="room-hash">
          <Icon of={MessagesSquare} />
        </span>
        <h1 ref={title} class="room-name page-title" tabIndex={-1}>
          {strings.threads.heading}
        </h1>
      </header>
      <div class="threads" tabIndex={0} role="region" aria-label={strings.threads.heading} data-region="messages">
        {threads.state.value === "failed" && (
          <p class="threads-note" role="alert">
            {strings.threads.failed}{" "}
            <button type="button" class="link-button" onClick={() => void threads.refresh()}>
              {strings.room.retry}
            </button>
          </p>
        )}
        {threads.state.value === "there" && list.length === 0 && (
          <div class="no-room">
            <h2>{strings.threads.noneTitle}</h2>
            <p>{strings.threads.noneLead}</p>
          </div>
        )}
        <ul class="threads-list">
          {list.map((thread) => (
            <li key={thread.id}>
              <Entry app={app} chat={chat} thread={thread} />
            </li>
          ))}
        </ul>
        {threads.more.value && (
          <p class="threads-note">
            <button type="button" class="button" onClick={() => void threads.loadMore().catch((error: unknown) => chat.fail(error))}>
              {strings.threads.more}
            </button>
          </p>
        )}
      </div>
      <Toast chat={chat} />
    </>
  );
}

function Entry({ app, chat, thread }: { app: App; chat: Chat; thread: ThreadCard }) {
  const room = chat.joined.value.find((one) => one.id === thread.room)?.info.value;
  const { root, last, replies, unread } = thread;
  const { time } = replies.last;
  return (
    <RoomLink app={app} room={`${thread.room}/thread/${thread.id}`} class={unread > 0 ? "threads-entry threads-entry-unread" : "threads-entry"}>
      <Avatar person={root.author} />
      <span class="threads-main">
        {room && (
          <span class="threads-room">
            <RoomIcon room={room} me={chat.me} size={14} /> <bdi>{room.name}</bdi>
          </span>
        )}
        <Line said={root} class="threads-root" />
        <Line said={last} class="threads-last" />
        <span class="threads-about">
          {strings.threads.replies(replies.count)}
          <time dateTime={machineTime(time)} title={fullTime(time)}>
            {strings.threads.last(momentLabel(time, Date.now()))}
          </time>
        </span>
      </span>
      {unread > 0 && (
        <span class="badge">
          <span aria-hidden="true">{unread > 99 ? "99+" : unread}</span>
          <span class="visually-hidden">{strings.threads.unread(unread)}</span>
        </span>
      )}
    </RoomLink>
  );
}

function Line({ said, class: name }: { said: Answered; class: string }) {
  return (
    <span class={name}>
      <strong>
        <bdi>{named(said.author)}</bdi>
      </strong>
      <span class="visually-hidden">: </span> <bdi>{said.deleted ? strings.room.deleted : said.text}</bdi>
    </span>
  );
}
