/**
 * What one person changes about the messages of a room: the one that they edit just now, deleting, and taking that back.
 *
 * Shown at once, before the server has answered; what the server does not do is shown as it was before, with the reason.
 */
import { signal, type ReadonlySignal } from "@preact/signals";
import type { Api } from "../api.ts";
import type { Message, PersonRef } from "../wire.ts";
import { sourceOf, type Written } from "./mentions.ts";
import { describe } from "./problems.ts";
import { isInRoom } from "./replies.ts";
import { trimmed } from "./split.ts";
import type { Timeline } from "./timeline.ts";

/** The message that is edited, with what stands in its editor. */
export type Editing = {
  message: string;
  written: Written;
  /** Why the last try to save failed. */
  problem: string | null;
  /** Whether it is being saved. */
  saving: boolean;
};

/** A deletion that can be taken back. */
export type Undoable = {
  message: string;
  /** Why that failed; then it cannot be tried again. */
  problem: string | null;
  undo: () => Promise<void>;
};

type ChangedRoom = { readonly id: string; readonly timeline: Timeline; changed(): void };

export type ChangesContext = {
  me: PersonRef;
  api: Pick<Api, "editMessage" | "deleteMessage" | "restoreMessage">;
  undoable: (what: Undoable | null) => void;
  /** Whether this person may delete what others said. */
  manages: ReadonlySignal<boolean>;
};

export class Changes {
  readonly editing = signal<Editing | null>(null);
  /** The key of the row whose actions are shown. */
  readonly active = signal<string | null>(null);
  /** The key of the row whose menu a finger has opened. */
  readonly pressed = signal<string | null>(null);
  /** Whether this person may delete what others said. */
  readonly manages: ReadonlySignal<boolean>;
  private opened = false;

  constructor(
    private readonly room: ChangedRoom,
    private readonly context: ChangesContext,
    private readonly lastOwn?: () => Message | null,
  ) {
    this.manages = context.manages;
  }

  /** The last message of this person that is here and stands; null when there is none. */
  last(): Message | null {
    if (this.lastOwn) return this.lastOwn();
    const { timeline } = this.room;
    for (let number = timeline.last; number >= timeline.first; number--) {
      const event = timeline.at(number);
      const message = event?.type === "message.posted" ? timeline.message(event) : undefined;
      if (message?.author.id === this.context.me.id && !message.deleted && isInRoom(message)) return message;
    }
    return null;
  }

  /** A message that is here, by its id. */
  find(id: string): Message | null {
    return this.room.timeline.find(id);
  }

  /** Opens the editor. An unfinished one of another message is given up. */
  edit(message: string, written: Written): void {
    if (this.editing.peek()?.message === message) return;
    this.opened = true;
    this.editing.value = { message, written, problem: null, saving: false };
  }

  /** Whether the editor has just been opened and is to have the focus: not when its row is drawn again. */
  takeFocus(): boolean {
    const { opened } = this;
    this.opened = false;
    return opened;
  }

  write(written: Written): void {
    const editing = this.editing.peek();
    if (editing) this.editing.value = { ...editing, written, problem: null };
  }

  cancel(): void {
    this.editing.value = null;
  }

  /** Saves what stands in the editor, and closes it. Where that fails it stays open with its text. */
  async save(): Promise<boolean> {
    const editing = this.editing.peek();
    if (!editing || editing.saving) return false;
    const { message, written } = editing;
    const asOf = this.room.timeline.asOf(message);
    this.editing.value = { ...editing, problem: null, saving: true };
    try {
      this.show(await this.context.api.editMessage(this.room.id, message, trimmed(sourceOf(written))), asOf);
      if (this.editing.peek()?.message === message) this.editing.value = null;
      return true;
    } catch (error) {
      const open = this.editing.peek();
      if (open?.message === message) this.editing.value = { ...open, problem: describe(error), saving: false };
      return false;
    }
  }

  /** As `delete`, of one that may not be here any more. */
  async deleteById(id: string, reason: string): Promise<void> {
    const message = this.find(id);
    if (message) await this.delete(message, reason);
    else await this.context.api.deleteMessage(this.room.id, id, reason);
  }

  /** Deletes a message; with a reason where it is somebody else's. */
  async delete(message: Message, reason?: string): Promise<void> {
    const { timeline } = this.room;
    const asOf = timeline.asOf(message.id);
    const by = { id: this.context.me.id, name: this.context.me.name };
    this.show({ ...message, body: "", deleted: { time: Date.now(), by, ...(reason !== undefined && { reason }) } }, asOf);
    const deleting = this.context.api.deleteMessage(this.room.id, message.id, reason);
    // Not before the server has it: a message that stands is restored without a word, and deleted after that.
    const undo = (): Promise<void> => deleting.then(() => this.restore(message), () => undefined);
    this.context.undoable({ message: message.id, problem: null, undo });
    try {
      this.show(await deleting, asOf);
    } catch (error) {
      this.show(message, asOf);
      this.context.undoable(null);
      throw error;
    }
  }

  private async restore(message: Message): Promise<void> {
    const asOf = this.room.timeline.asOf(message.id);
    try {
      this.show(await this.context.api.restoreMessage(this.room.id, message.id), asOf);
      this.context.undoable(null);
    } catch (error) {
      this.context.undoable({ message: message.id, problem: describe(error), undo: () => Promise.resolve() });
    }
  }

  private show(message: Message, asOf: number | null): void {
    this.room.timeline.changed(message, asOf);
    this.room.changed();
  }
}
