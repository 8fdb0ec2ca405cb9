import { Bell, BellOff, X } from "lucide";
import { effect } from "@preact/signals";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { FOLLOW_MARGIN_PX, NEW_LINE_TOP_PX } from "../limits.ts";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { isArchived, isDirect } from "../models/kinds.ts";
import type { Layout } from "../models/layout.ts";
import type { Room } from "../models/room.ts";
import { rows, type MessageRow } from "../models/rows.ts";
import type { Thread } from "../models/thread.ts";
import { dayOf } from "../models/times.ts";
import { strings } from "../strings.ts";
import { Composer } from "./Composer.tsx";
import { Icon } from "./Icon.tsx";
import type { ActionsContext } from "./MessageActions.tsx";
import { moveByMessage, point, rowByKey, topOf, visible, type Anchor } from "./moving.ts";
import { usePointing } from "./pointing.ts";
import { delayOf, RowView } from "./RowView.tsx";
import { useSeen } from "./seen.ts";
import { Toast } from "./Toast.tsx";

type Props = { app: App; chat: Chat; room: Room; thread: Thread; layout: Layout };

/** A thread beside its room: what it is under, its answers from old to new, and where one answers. */
export function ThreadPanel({ app, chat, room, thread, layout }: Props) {
  const { name } = room.info.value;
  const panel = useRef<HTMLElement>(null);

  // The focus goes back to where the thread was opened, or to the message that it is under.
  useEffect(() => {
    const opener = document.activeElement;
    const element = panel.current;
    return () => {
      const inside = document.activeElement === document.body || (element?.contains(document.activeElement) ?? false);
      if (!inside) return;
      requestAnimationFrame(() => {
        const line = rowOfRoot(room, thread)?.querySelector<HTMLElement>(".thread-line");
        const target = opener instanceof HTMLElement && opener.isConnected && opener !== document.body ? opener : (line ?? document.getElementById("composer"));
        target?.focus();
      });
    };
  }, [room, thread]);

  return (
    <aside ref={panel} class="thread" aria-label={strings.threads.region(name)}>
      <header class="thread-header">
        <h2>
          {strings.threads.title} <bdi class="thread-room">{name}</bdi>
        </h2>
        <FollowButton chat={chat} thread={thread} />
        <button type="button" class="icon-button" aria-label={strings.threads.close} title={strings.threads.close} onClick={() => chat.closeThread()}>
          <Icon of={X} />
        </button>
      </header>
      {thread.state.value === "missing" ? (
        <p class="thread-missing">{strings.threads.missing}</p>
      ) : (
        <>
          <Answers app={app} chat={chat} room={room} thread={thread} layout={layout} />
          {!layout.wide.value && <Toast chat={chat} />}
          {!isArchived(room.info.value) && thread.state.value === "there" && <Composer chat={chat} room={room} layout={layout} thread={thread} />}
        </>
      )}
    </aside>
  );
}

function FollowButton({ chat, thread }: { chat: Chat; thread: Thread }) {
  const follows = thread.following.value;
  if (thread.state.value !== "there") return null;
  return (
    <button
      type="button"
      class="button thread-follow"
      aria-pressed={follows}
      title={follows ? strings.threads.followed : strings.threads.notFollowed}
      onClick={() => void thread.follow(!follows).catch((error: unknown) => chat.fail(error))}
    >
      <Icon of={follows ? Bell : BellOff} size={16} />
      {follows ? strings.threads.following : strings.threads.follow}
    </button>
  );
}

function Answers({ app, chat, room, thread, layout }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const anchors = useRef<Anchor[]>([]);
  /** Whether the list was put where it opens. */
  const [opened] = useState({ done: false });
  const lookForSeen = useSeen(scroller, chat, thread);
  // What messages say, and what waits to be sent, the room tells of.
  const version = room.version.value;
  const target = thread.target.value;
  const state = thread.state.value;
  const older = thread.older.value;
  const context = useMemo<ActionsContext>(() => ({ app, chat, room, layout, thread }), [app, chat, room, layout, thread]);
  const pointing = usePointing(thread.changes);

  const root = thread.message;
  const unsent = chat.outbox.inThread(room.id, thread.root);
  const shared = {
    timeline: room.timeline,
    from: 0,
    to: Infinity,
    me: chat.me,
    reactions: room.reactions.shown.bind(room.reactions),
    present: chat.people.present,
    direct: isDirect(room.info.value),
  };
  const asEvent = root && { type: "message.posted", number: root.number, time: root.time, message: root };
  const above = rows({ ...shared, within: "root-", thread: asEvent ? [asEvent] : [], unsent: [], newAfter: null });
  const answers = rows({ ...shared, within: "thread-", thread: thread.events, unsent, newAfter: thread.newAfter.value });
  // The day stands above what the thread is under, and again where the answers are of another one.
  const [day, first] = [above[0], answers[0]];
  if (day?.kind === "day" && first?.kind === "day" && dayOf(day.time) === dayOf(first.time)) answers.shift();
  const failed = answers.filter((row) => row.kind === "message" && row.state === "failed");
  const count = answers.filter((row) => row.kind === "message" && !row.deleted).length;

  const settle = useCallback(() => {
    const element = scroller.current;
    if (!element || thread.state.peek() !== "there") return;
    const going = thread.target.peek();
    if (going !== null && thread.has(going)) {
      following.current = false;
      thread.target.value = null;
      opened.done = true;
      point(element, going);
    } else if (!opened.done) {
      opened.done = true;
      const line = rowByKey(list.current, "thread-new");
      element.scrollTop = line ? element.scrollTop + topOf(line, element) - NEW_LINE_TOP_PX : element.scrollHeight;
      following.current = element.scrollHeight - element.scrollTop - element.clientHeight <= 1;
    } else if (following.current) {
      element.scrollTop = element.scrollHeight;
    } else {
      for (const { key, top } of anchors.current) {
        const kept = rowByKey(list.current, key);
        if (!kept) continue;
        element.scrollTop += topOf(kept, element) - top;
        break;
      }
    }
    anchors.current = visible(list.current, element);
    thread.reading.watch(following.current && chat.attendance.present.peek());
    lookForSeen();
  }, [chat, thread, opened, lookForSeen]);

  const scrolled = (): void => {
    const element = scroller.current;
    if (!element) return;
    const was = following.current;
    following.current = element.scrollHeight - element.scrollTop - element.clientHeight < FOLLOW_MARGIN_PX;
    if (following.current && !was) thread.reading.pass();
    anchors.current = visible(list.current, element);
    thread.reading.watch(following.current && chat.attendance.present.peek());
  };

  // What this person sends brings the end into view.
  const sentBefore = useRef(unsent.length);
  useLayoutEffect(() => {
    if (unsent.length > sentBefore.current) {
      following.current = true;
      thread.newAfter.value = null;
      thread.reading.pass();
    }
    sentBefore.current = unsent.length;
  }, [unsent.length, thread]);
  useLayoutEffect(settle);
  useEffect(() => {
    if (target !== null && state === "there" && !thread.has(target)) void thread.goTo(target);
  }, [target, state, thread]);
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const resized = new ResizeObserver(settle);
    resized.observe(element);
    if (list.current) resized.observe(list.current);
    const attended = effect(() => thread.reading.watch(chat.attendance.present.value && following.current));
    const unfolded = (): void => {
      following.current = false;
      anchors.current = visible(list.current, element);
    };
    element.addEventListener("unfold", unfolded);
    return () => {
      attended();
      resized.disconnect();
      element.removeEventListener("unfold", unfolded);
    };
  }, [chat, thread, settle]);

  const rowOf = (number: number): MessageRow | undefined =>
    [...above, ...answers].find((row) => row.kind === "message" && row.number === number) as MessageRow | undefined;
  return (
    <div
      ref={scroller}
      class="scroller thread-scroller"
      role="log"
      aria-live="off"
      aria-label={strings.threads.answers}
      aria-busy={state === "loading" || older === "loading"}
      tabIndex={0}
      data-region="thread"
      data-version={version}
      onScroll={scrolled}
      onKeyDown={(event) => moveByMessage(event, context, rowOf)}
      {...pointing}
    >
      <div ref={list} class="list thread-list">
        {state === "loading" && <p class="thread-note">{strings.room.older}</p>}
        {above.map((row) => (
          <RowView key={row.key} row={row} context={context} delay={null} failures={0} />
        ))}
        {state === "there" && (
          <p class="thread-divider" key="divider">
            <span>{count > 0 ? strings.threads.replies(count, thread.hasOlder.value) : strings.threads.none}</span>
          </p>
        )}
        {thread.hasOlder.value && (
          <p class="thread-note" key="older">
            <button type="button" class="link-button" disabled={older === "loading"} onClick={() => void thread.loadOlder()}>
              {older === "failed" ? strings.room.retry : strings.threads.older}
            </button>
          </p>
        )}
        {answers.map((row) => (
          <RowView
            key={row.key}
            row={row}
            context={context}
            delay={row.kind === "message" && row.unsent ? delayOf(chat, row.unsent) : null}
            failures={row === failed.at(-1) ? failed.length : 0}
          />
        ))}
      </div>
    </div>
  );
}

function rowOfRoot(room: Room, thread: Thread): HTMLElement | null {
  const number = room.timeline.find(thread.root)?.number;
  return number === undefined ? null : document.querySelector<HTMLElement>(`[data-region=messages] [data-number="${number}"]`);
}
