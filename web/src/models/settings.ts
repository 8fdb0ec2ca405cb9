/** What this browser remembers for a person: the theme, the last room, how far each room was read, drafts. */

export type Theme = "system" | "light" | "dark";

export class Settings {
  constructor(
    private readonly person: string,
    private readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null = safeStorage(),
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

  lastRead(room: string): number | null {
    const stored = Number(this.read(`read.${room}`) ?? NaN);
    return Number.isSafeInteger(stored) ? stored : null;
  }

  saveRead(room: string, number: number): void {
    this.write(`read.${room}`, String(number));
  }

  draft(room: string): string {
    return this.read(`draft.${room}`) ?? "";
  }

  saveDraft(room: string, draft: string): void {
    this.write(`draft.${room}`, draft === "" ? null : draft);
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

/** The theme of whoever was here last. */
export function lastTheme(): Theme {
  const stored = readFrom(safeStorage(), "tidings.theme");
  return stored === "light" || stored === "dark" ? stored : "system";
}

type Store = Pick<Storage, "getItem" | "setItem" | "removeItem"> | null;

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

function writeTo(storage: Store, key: string, value: string | null): void {
  try {
    if (value === null) storage?.removeItem(key);
    else storage?.setItem(key, value);
  } catch {
    // Nothing is lost that the server does not have.
  }
}
