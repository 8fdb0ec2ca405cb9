import { ArrowDown } from "lucide";
import { effect } from "@preact/signals";
import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef } from "preact/hooks";
import { FOLLOW_MARGIN_PX, NEW_LINE_TOP_PX, PAGING_MARGIN_PX, STILL_TRYING_AFTER_MS } from "../limits.ts";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { isDirect } from "../models/kinds.ts";
import type { Layout } from "../models/layout.ts";
import type { Room } from "../models/room.ts";
import { rows, type MessageRow } from "../models/rows.ts";
import { around, atEnd, grown, newer, older, type Range } from "../models/window.ts";
import { strings } from "../strings.ts";
import { Icon } from "./Icon.tsx";
import { delayOf, RowView } from "./RowView.tsx";
import { focusComposer } from "./keyboard.ts";
import { moveByMessage, point, rowByKey, topOf, visible, type Anchor } from "./moving.ts";
import { usePointing } from "./pointing.ts";
import { useSeen } from "./seen.ts";

/**
 * The messages of a room, from old to new. Follows what comes only while the reader is at the end; keeps the visible
 * line in place otherwise, whatever is added or dropped above and below.
 */
export function MessageList({ app, chat, room, layout }: { app: App; chat: Chat; room: Room; layout: Layout }) {
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const range = useRef<Range>(atEnd(room.timeline.last));
  const following = useRef(true);
  const farUp = useRef(false);
  const anchors = useRef<Anchor[]>([]);
  /** Whether the line before what is new is above the view; once it was in view it needs no way to it. */
  const newAbove = useRef(false);
  const newSeen = useRef<number | null>(null);
  /** Where the list is to go with the next drawing: the line before what is new, or an event. */
  const goingTo = useRef<"new" | "opening" | number | null>(null);
  const lookForSeen = useSeen(scroller, chat, room);
  /** Where the list was put by itself: that scrolling is not the reader's. */
  const placedAt = useRef<number | null>(null);
  const settledAt = useRef({ client: 0, scroll: 0 });
  const [, redraw] = useReducer((count: number) => count + 1, 0);

  const version = room.version.value;
  const { timeline } = room;
  // Numbers of a room that started anew say nothing of where the reader was.
  const renewals = room.renewals.value;
  const renewalsSeen = useRef(renewals);
  if (renewalsSeen.current !== renewals) {
    renewalsSeen.current = renewals;
    following.current = true;
    farUp.current = false;
    range.current = atEnd(timeline.last);
  }
  const target = room.target.value;
  if (target !== null && goingTo.current !== target) {
    following.current = false;
    goingTo.current = target;
    range.current = around(target, timeline.first, timeline.last);
  }
  const newAfter = room.newAfter.value;
  if (room.opening.value && newAfter !== null && timeline.first <= newAfter + 1 && timeline.last > newAfter) {
    following.current = false;
    goingTo.current = "opening";
    range.current = around(newAfter + 1, timeline.first, timeline.last);
  }
  range.current = grown(range.current, timeline.last, following.current);
  const { from, to } = range.current;
  // Where the list stops before the newest message it says so, and what is not sent yet has no place there.
  const behind = room.behind.value;
  const shown = rows({
    timeline,
    from,
    to,
    unsent: behind ? [] : chat.outbox.inRoom(room.id),
    me: chat.me,
    reactions: (message, known) => room.reactions.shown(message, known),
    newAfter,
    present: chat.people.present,
    direct: isDirect(room.info.value),
  });
  const failed = shown.filter((row) => row.kind === "message" && row.state === "failed");
  const isWhole = timeline.positioned && !timeline.hasOlder && from <= timeline.first;
  const history = room.history.value;
  const unread = room.unread.value.count;

  const lookForNew = useCallback(() => {
    const element = scroller.current;
    const newAfter = room.newAfter.peek();
    let above = false;
    if (element && newAfter !== null && newAfter !== newSeen.current && document.visibilityState === "visible") {
      const line = rowByKey(list.current, "new");
      above = line ? topOf(line, element) < 0 : newAfter + 1 < Math.max(range.current.from, timeline.first);
      if (line && !above && topOf(line, element) < element.clientHeight) newSeen.current = newAfter;
    }
    if (above === newAbove.current) return;
    newAbove.current = above;
    redraw(0);
  }, [room, timeline]);

  const settle = useCallback(() => {
    const element = scroller.current;
    if (!element) return;
    const going = goingTo.current;
    goingTo.current = null;
    const line = going === "new" || going === "opening" ? rowByKey(list.current, "new") : null;
    if (typeof going === "number") {
      room.target.value = null;
      point(element, going);
      placedAt.current = element.scrollTop;
    } else if (going === "new") {
      element.scrollTop = line ? element.scrollTop + topOf(line, element) - NEW_LINE_TOP_PX : 0;
      const message = [...element.querySelectorAll<HTMLElement>("article")].find((row) => topOf(row, element) >= NEW_LINE_TOP_PX);
      message?.focus({ preventScroll: true });
    } else if (going === "opening") {
      room.opening.value = false;
      element.scrollTop = line ? element.scrollTop + topOf(line, element) - NEW_LINE_TOP_PX : 0;
      placedAt.current = element.scrollTop;
      // Where all of it is in view, what comes is followed.
      following.current = range.current.to === Infinity && element.scrollHeight - element.scrollTop - element.clientHeight <= 1;
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
    room.hold(following.current ? null : range.current);
    settledAt.current = { client: element.clientHeight, scroll: element.scrollHeight };
    room.reading.watch(following.current && chat.attendance.present.peek());
    lookForSeen();
    lookForNew();
  }, [chat, room, lookForSeen, lookForNew]);

  const page = useCallback(() => {
    const element = scroller.current;
    if (!element) return;
    const { scrollTop, scrollHeight, clientHeight } = element;
    const below = scrollHeight - scrollTop - clientHeight;
    if (scrollTop < PAGING_MARGIN_PX && timeline.positioned) {
      if (range.current.from > timeline.first) {
        range.current = older(range.current, timeline.first, timeline.last);
        redraw(0);
      } else if (timeline.hasOlder && room.history.peek() === "idle") {
        void room.loadOlder().then(() => {
          if (room.history.peek() !== "idle") return;
          range.current = older({ ...range.current, from: Math.max(range.current.from, timeline.first) }, timeline.first, timeline.last);
          redraw(0);
        });
      }
    } else if (below < PAGING_MARGIN_PX && range.current.to !== Infinity) {
      range.current = newer(range.current, timeline.last);
      redraw(0);
    } else if (below < PAGING_MARGIN_PX) {
      room.readOn();
    }
  }, [room, timeline]);

  const scrolled = useCallback(() => {
    const element = scroller.current;
    if (!element) return;
    // The list changed its size since it was settled: the distance from the end says nothing of what the reader wants.
    const { client, scroll } = settledAt.current;
    if (following.current && (client !== element.clientHeight || scroll !== element.scrollHeight)) {
      settle();
      return;
    }
    const below = element.scrollHeight - element.scrollTop - element.clientHeight;
    const isOwn = placedAt.current !== null && Math.abs(placedAt.current - element.scrollTop) <= 1;
    placedAt.current = null;
    const [wasFollowing, wasFarUp] = [following.current, farUp.current];
    if (!isOwn) following.current = below < FOLLOW_MARGIN_PX && range.current.to === Infinity && !room.behind.peek();
    farUp.current = range.current.to !== Infinity || below > element.clientHeight;
    anchors.current = visible(list.current, element);
    room.hold(following.current ? null : range.current);
    if (following.current && !wasFollowing) room.reading.pass();
    room.reading.watch(following.current && chat.attendance.present.peek());
    if (wasFollowing !== following.current || wasFarUp !== farUp.current) redraw(0);
    lookForNew();
    page();
  }, [chat, room, page, settle, lookForNew]);

  const toEnd = useCallback(() => {
    following.current = true;
    farUp.current = false;
    range.current = atEnd(timeline.last);
    room.toEnd();
    redraw(0);
  }, [room, timeline]);

  const toNew = useCallback(async () => {
    await room.loadNew();
    const newAfter = room.newAfter.peek();
    if (newAfter === null) return;
    following.current = false;
    goingTo.current = "new";
    newSeen.current = newAfter;
    range.current = around(newAfter + 1, timeline.first, timeline.last);
    redraw(0);
  }, [room, timeline]);

  // What this person sends brings the end into view.
  const unsentCount = chat.outbox.inRoom(room.id).length;
  const sentBefore = useRef(unsentCount);
  useLayoutEffect(() => {
    if (unsentCount > sentBefore.current) {
      room.newAfter.value = null;
      if (following.current) room.toEnd();
      else toEnd();
    }
    sentBefore.current = unsentCount;
  }, [unsentCount, room, toEnd]);

  // Time alone makes a message late: looked at now and then while one is under way.
  useEffect(() => {
    if (unsentCount === 0) return;
    const timer = setInterval(() => redraw(0), STILL_TRYING_AFTER_MS / 4);
    return () => clearInterval(timer);
  }, [unsentCount]);

  useLayoutEffect(settle);
  useEffect(() => () => room.hold(null), [room]);
  // A page shorter than the screen asks for the next one.
  useEffect(page, [page, version, history, from, to, behind]);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const resized = new ResizeObserver(settle);
    resized.observe(element);
    if (list.current) resized.observe(list.current);
    // Whoever comes back to what has passed meanwhile did not see it.
    const attended = effect(() => {
      room.reading.watch(chat.attendance.present.value && following.current);
      lookForNew();
    });
    // Who unfolds a message reads it from where they are.
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
  }, [chat, room, settle, lookForNew]);

  const context = useMemo(() => ({ app, chat, room, layout }), [app, chat, room, layout]);
  const pointing = usePointing(room.changes);
  const fresh = newAbove.current ? room.countNew() : null;
  const name = room.info.value.name;
  return (
    <div class="messages">
      {/* Silent: `Announcer` tells of new messages, and paging through history tells nothing. */}
      <div
        ref={scroller}
        class="scroller"
        role="log"
        aria-live="off"
        aria-label={strings.room.messages(name)}
        aria-busy={history === "loading"}
        tabIndex={0}
        data-region="messages"
        onScroll={scrolled}
        onKeyDown={(event) => moveByMessage(event, context, (number) => shown.find((row) => row.kind === "message" && row.number === number) as MessageRow | undefined)}
        {...pointing}
      >
        <div ref={list} class="list">
          <div class="list-top">
            {history === "failed" ? (
              <p>
                {strings.room.historyFailed}{" "}
                <button type="button" class="link-button" onClick={() => void room.loadOlder()}>
                  {strings.room.retry}
                </button>
              </p>
            ) : isWhole ? (
              <p>{beginning(room)}</p>
            ) : (
              history === "loading" && <p>{strings.room.older}</p>
            )}
          </div>
          {shown.map((row) => (
            <RowView
              key={row.key}
              row={row}
              context={context}
              delay={row.kind === "message" && row.unsent ? delayOf(chat, row.unsent) : null}
              failures={row === failed.at(-1) ? failed.length : 0}
            />
          ))}
          {behind && to >= timeline.last && <p class="list-bottom">{strings.room.newer}</p>}
        </div>
      </div>
      {fresh && fresh.count > 0 && (
        <button type="button" class="to-new" aria-label={strings.room.newAboveLabel(fresh.count, fresh.more)} onClick={() => void toNew()}>
          {strings.room.newAbove(fresh.count, fresh.more)}
        </button>
      )}
      {!following.current && (unread > 0 || behind || farUp.current) && (
        <button
          type="button"
          class="to-end"
          aria-label={unread > 0 || behind ? strings.room.newBelowLabel(unread, behind) : strings.room.toEnd}
          onClick={() => {
            toEnd();
            focusComposer();
          }}
        >
          {unread > 0 || behind ? strings.room.newBelow(unread, behind) : <Icon of={ArrowDown} />}
        </button>
      )}
    </div>
  );
}

function beginning(room: Room): string {
  const info = room.info.value;
  if (!isDirect(info)) return strings.room.beginning(info.name);
  return info.people?.length ? strings.direct.beginning(info.name) : strings.direct.beginningNotes;
}
