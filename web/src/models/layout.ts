/** What is open around the room: the side panels and the dialog on top. */
import { signal } from "@preact/signals";
import type { RoomEdit } from "../api.ts";
import type { PersonRef } from "../wire.ts";

export type DialogName =
  | { name: "switcher" | "shortcuts" | "create-room" | "browse-rooms" | "sign-out" | "new-direct" }
  | { name: "tell-everybody"; members: number; send: () => void }
  | { name: "leave-room"; room: string }
  /** With what was written in it before, if it is opened again. */
  | { name: "edit-room"; room: string; edit?: RoomEdit }
  | { name: "archive-room"; room: string }
  | { name: "section"; room: string }
  | { name: "go-to-date"; room: string }
  | { name: "add-people"; room: string }
  | { name: "open-room"; room: string; edit: RoomEdit }
  | { name: "delete-message"; room: string; message: string; author: PersonRef }
  | { name: "edits"; room: string; message: string }
  | { name: "person"; person: PersonRef }
  | { name: "remove-member"; room: string; person: PersonRef };

const WIDE = "(min-width: 900px)";

export class Layout {
  readonly dialog = signal<DialogName | null>(null);
  readonly people = signal(false);
  /** Who wants an emoji, and where they asked for it. */
  readonly picker = signal<{ opener: HTMLElement | null; onPick: (emoji: string) => void } | null>(null);
  /** The rooms over the room, on a narrow screen. */
  readonly rooms = signal(false);
  /** Whether rooms and room stand side by side. */
  readonly wide = signal(true);
  private readonly query = matchMedia(WIDE);

  constructor() {
    this.wide.value = this.query.matches;
    this.query.addEventListener("change", this.measure);
  }

  close(): void {
    this.query.removeEventListener("change", this.measure);
  }

  pickEmoji(opener: HTMLElement | null, onPick: (emoji: string) => void): void {
    this.picker.value = { opener, onPick };
  }

  /** Closes the innermost thing that is open. Returns false when nothing was. */
  closeInnermost(): boolean {
    if (this.picker.peek()) this.picker.value = null;
    else if (this.dialog.peek()) this.dialog.value = null;
    else if (this.rooms.peek()) this.rooms.value = false;
    else if (this.people.peek()) this.people.value = false;
    else return false;
    return true;
  }

  private readonly measure = (): void => {
    this.wide.value = this.query.matches;
    this.rooms.value = false;
  };
}
