/** What this browser remembers for a person: the theme, the last room, drafts. */
import type { Answered } from "../wire.ts";
import type { Mention } from "./mentions.ts";
import type { Order } from "./listing.ts";

export type Theme = "system" | "light" | "dark";
/** How close together things stand. */
export type Density = "comfortable" | "compact";

export class Settings {
  constructor(
    private readonly person: string,
    private readonly storage: Store = safeStorage(),
  ) {}

  get theme(): Theme {
    const stored = this.read("theme");
    return stored === "light" || stored === "dark" ? stored : "system";
  }

  set theme(theme: Theme) {
    this.write("theme", theme === "system" ? null : theme);
    // The cards before signing in know no person; they look as the last one left it.
    writeTo(this.storage, "tidings.theme", theme === "system" ? null : theme);
  }

  get density(): Density {
    return this.read("density") === "compact" ? "compact" : "comfortable";
  }

  set density(density: Density) {
    const kept = density === "compact" ? density : null;
    this.write("density", kept);
    writeTo(this.storage, "tidings.density", kept);
  }

  get lastRoom(): string | null {
    return this.read("room");
  }

  set lastRoom(room: string | null) {
    this.write("room", room);
  }

  /** The room whose first invite card is neither dismissed nor followed by anybody yet. */
  get welcome(): string | null {
    return this.read("welcome");
  }

  set welcome(room: string | null) {
    this.write("welcome", room);
  }

  /** In which order the rooms are listed. */
  get order(): Order {
    const stored = this.read("order");
    return stored === "recent" || stored === "unread" ? stored : "name";
  }

  set order(order: Order) {
    this.write("order", order === "name" ? null : order);
  }

  draft(room: string): string {
    return this.read(`draft.${room}`) ?? "";
  }

  saveDraft(room: string, draft: string): void {
    this.write(`draft.${room}`, draft === "" ? null : draft);
  }

  /** The names in a draft. */
  mentions(room: string, draft: string): Mention[] {
    try {
      const kept = JSON.parse(this.read(`mentions.${room}`) ?? "[]") as Partial<Mention>[];
      const fits = ({ from = -1, to = -1, token }: Partial<Mention>): boolean =>
        typeof token === "string" && from >= 0 && to > from && to <= draft.length && /[@#]/.test(draft.charAt(from));
      return Array.isArray(kept) ? (kept.filter(fits) as Mention[]) : [];
    } catch {
      return [];
    }
  }

  saveMentions(room: string, mentions: readonly Mention[]): void {
    this.write(`mentions.${room}`, mentions.length === 0 ? null : JSON.stringify(mentions));
  }

  /** The message that a draft answers. */
  answered(room: string): Answered | null {
    try {
      const kept = JSON.parse(this.read(`answers.${room}`) ?? "null") as Partial<Answered> | null;
      return kept?.id !== undefined && kept.number !== undefined && kept.author?.name !== undefined ? (kept as Answered) : null;
    } catch {
      return null;
    }
  }

  saveAnswered(room: string, answered: Answered | null): void {
    this.write(`answers.${room}`, answered && JSON.stringify(answered));
  }

  /** Drafts go with whoever signs out. */
  forgetDrafts(): void {
    const starts = ["draft", "answers", "mentions"].map((name) => `tidings.${this.person}.${name}.`);
    for (const key of keysOf(this.storage)) if (starts.some((start) => key.startsWith(start))) writeTo(this.storage, key, null);
  }

  /** Told of what is written in another tab, until the returned function is called. */
  watchDrafts(changed: (room: string, draft: string) => void): () => void {
    const start = `tidings.${this.person}.draft.`;
    const stored = ({ key, newValue }: StorageEvent): void => {
      // What somebody is writing here and now is theirs.
      if (key?.startsWith(start) && !document.hasFocus()) changed(key.slice(start.length), newValue ?? "");
    };
    if (typeof addEventListener !== "function") return () => undefined;
    addEventListener("storage", stored);
    return () => removeEventListener("storage", stored);
  }

  /** Whether the buttons for marks are shown: kept for this browser, whoever uses it; null before somebody chose. */
  toolbar(): boolean | null {
    const stored = readFrom(this.storage, "tidings.toolbar");
    return stored === null ? null : stored === "shown";
  }

  saveToolbar(shown: boolean): void {
    writeTo(this.storage, "tidings.toolbar", shown ? "shown" : "hidden");
  }

  /** Emoji used lately, the latest first. */
  get recentEmoji(): string[] {
    return (this.read("emoji") ?? "").split(" ").filter((emoji) => emoji !== "");
  }

  set recentEmoji(emoji: readonly string[]) {
    this.write("emoji", emoji.length === 0 ? null : emoji.join(" "));
  }

  private read(name: string): string | null {
    return readFrom(this.storage, `tidings.${this.person}.${name}`);
  }

  private write(name: string, value: string | null): void {
    writeTo(this.storage, `tidings.${this.person}.${name}`, value);
  }
}

/** Shows the page in a theme; `system` leaves it to the browser. */
export function showTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Shows the page closer together, or not. */
export function showDensity(density: Density): void {
  if (density === "compact") document.documentElement.dataset.density = density;
  else delete document.documentElement.dataset.density;
}

/** The density of whoever was here last. */
export function lastDensity(): Density {
  return readFrom(safeStorage(), "tidings.density") === "compact" ? "compact" : "comfortable";
}

/** The theme of whoever was here last. */
export function lastTheme(): Theme {
  const stored = readFrom(safeStorage(), "tidings.theme");
  return stored === "light" || stored === "dark" ? stored : "system";
}

type Store = (Pick<Storage, "getItem" | "setItem" | "removeItem"> & Partial<Pick<Storage, "key" | "length">>) | null;

// A browser that refuses storage, or a full one, costs memory and nothing else.
function safeStorage(): Store {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}

function readFrom(storage: Store, key: string): string | null {
  try {
    return storage?.getItem(key) ?? null;
  } catch {
    return null;
  }
}

function keysOf(storage: Store): string[] {
  try {
    return Array.from({ length: storage?.length ?? 0 }, (_, at) => storage?.key?.(at) ?? "");
  } catch {
    return [];
  }
}

function writeTo(storage: Store, key: string, value: string | null): void {
  try {
    if (value === null) storage?.removeItem(key);
    else storage?.setItem(key, value);
  } catch {
    // Nothing is lost that the server does not have.
  }
}
