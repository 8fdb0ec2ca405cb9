/** Whether somebody is there and looks, as the browser tells it. */
import { effect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Chat } from "../models/chat.ts";

const ACTS = ["pointermove", "pointerdown", "keydown", "wheel", "touchstart"];

export function useAttendance(chat: Chat): void {
  useEffect(() => {
    const { attendance } = chat;
    const look = (): void => attendance.looks(document.visibilityState === "visible" && document.hasFocus());
    const act = (): void => chat.acted();
    const leave = (): void => chat.leaveRead();
    document.addEventListener("visibilitychange", look);
    addEventListener("focus", look);
    addEventListener("blur", look);
    addEventListener("pagehide", leave);
    for (const name of ACTS) addEventListener(name, act, { capture: true, passive: true });
    look();
    let was = attendance.present.peek();
    const forget = effect(() => {
      const is = attendance.present.value;
      if (is === was) return;
      was = is;
      const open = chat.room.peek();
      if (is) open?.lookBack();
      else open?.lookAway();
      if (!is) chat.tellRead();
    });
    return () => {
      forget();
      document.removeEventListener("visibilitychange", look);
      removeEventListener("focus", look);
      removeEventListener("blur", look);
      removeEventListener("pagehide", leave);
      for (const name of ACTS) removeEventListener(name, act, { capture: true });
    };
  }, [chat]);
}
