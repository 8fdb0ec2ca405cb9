/** Tells a room, or a thread, which of its messages were seen: in view for long enough, with somebody there who looks. */
import { effect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { RefObject } from "preact";
import { DAY_LABEL_PX } from "../limits.ts";
import { InView } from "../models/attention.ts";
import type { Chat } from "../models/chat.ts";
import type { Reading } from "../models/reading.ts";

/** Of a message that is as high as the view, half of the view is enough. */
const HALF = 0.5;
const STEPS = [0, 0.25, HALF, 0.75, 1];

/** Returns what to call after each drawing: new messages are looked at from then on. */
export function useSeen(scroller: RefObject<HTMLElement | null>, chat: Chat, place: { readonly reading: Reading }): () => void {
  const observed = useRef(new Set<Element>());
  const observer = useRef<IntersectionObserver | null>(null);
  const view = useRef<InView | null>(null);

  const look = useMemo(
    () => (): void => {
      const watching = observer.current;
      if (!watching) return;
      // What is gone is out of view, and nobody tells of it any more.
      const gone = [...observed.current].filter((message) => !message.isConnected);
      for (const message of gone) {
        watching.unobserve(message);
        observed.current.delete(message);
      }
      if (gone.length > 0) view.current?.changed([], gone.map(numberOf));
      for (const message of scroller.current?.querySelectorAll("article[data-number]") ?? []) {
        if (observed.current.has(message)) continue;
        observed.current.add(message);
        watching.observe(message);
      }
    },
    [scroller],
  );

  useEffect(() => {
    const root = scroller.current;
    if (!root) return;
    const after = (delay: number, task: () => void): (() => void) => {
      const timer = setTimeout(task, delay);
      return () => clearTimeout(timer);
    };
    const inView = new InView(after, (number) => place.reading.saw(number));
    const known = observed.current;
    view.current = inView;
    const watching = new IntersectionObserver(
      (entries) => {
        const [came, went]: [number[], number[]] = [[], []];
        for (const { target, intersectionRatio, intersectionRect, rootBounds } of entries) {
          if (!known.has(target)) continue; // gone meanwhile
          const number = numberOf(target);
          const fills = intersectionRect.height >= (rootBounds?.height ?? Infinity) * HALF;
          (intersectionRatio >= HALF || fills ? came : went).push(number);
        }
        inView.changed(came, went);
      },
      // Without what lies under the day's label.
      { root, threshold: STEPS, rootMargin: `-${DAY_LABEL_PX}px 0px 0px 0px` },
    );
    observer.current = watching;
    look();
    const forget = effect(() => inView.attend(chat.attendance.present.value));
    return () => {
      forget();
      inView.close();
      watching.disconnect();
      known.clear();
      observer.current = null;
      view.current = null;
    };
  }, [scroller, chat, place, look]);

  return look;
}

function numberOf(message: Element): number {
  return Number((message as HTMLElement).dataset.number);
}
