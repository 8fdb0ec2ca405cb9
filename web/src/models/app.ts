/** Who is at the screen and what they see: a card before signing in, the chat after. Follows the address bar. */
import { signal } from "@preact/signals";
import { ApiError, type Api, type Credentials } from "../api.ts";
import type { Boot, Invite, Person, RoomInfo } from "../wire.ts";
import { Chat, type ChatOptions } from "./chat.ts";
import { resendDelay, type UnsentStore } from "./outbox.ts";
import { lastDensity, lastTheme, Settings, showDensity, showTheme } from "./settings.ts";

/** The parts of the settings, each with its address. */
export const SECTIONS = ["profile", "account", "sessions", "tokens", "appearance"] as const;
export type Section = (typeof SECTIONS)[number];

/** Why somebody is to sign in who was signed in. */
export type SignInNotice = "ended" | "signed-out" | "set-up-done" | "password" | "elsewhere";

export type View =
  | { name: "loading" }
  | { name: "unreachable"; error: unknown; attempts: number }
  | { name: "set-up"; code: string }
  | { name: "not-set-up" }
  | { name: "invite"; code: string; me: Person | null }
  | { name: "sign-in"; notice: SignInNotice | null; invite: string | null; email?: string }
  | { name: "chat"; chat: Chat };

/** What there is beside rooms. */
const PAGES: ReadonlySet<string> = new Set(["/activity", "/threads"]);
/** By what the server says of a session that was ended. */
const ENDED: Record<string, SignInNotice> = { password_changed: "password", signed_out_elsewhere: "elsewhere" };

export class App {
  readonly view = signal<View>({ name: "loading" });
  /** The part of the settings that is open. */
  readonly settings = signal<Section | null>(null);
  private me: Person | null = null;
  private chat: Chat | null = null;
  private checking = false;
  private checkTimer: ReturnType<typeof setTimeout> | undefined;
  private checksFailed = 0;
  private signingOut = false;
  /** The address from which the settings were opened; null where they were the first. */
  private behind: string | null = null;
  private opening = false;
  private openTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly boot: Boot,
    readonly api: Api,
    private readonly store: UnsentStore,
    private readonly makeChat: (options: ChatOptions) => Chat = (options) => new Chat(options),
  ) {}

  async start(): Promise<void> {
    showTheme(lastTheme());
    showDensity(lastDensity());
    addEventListener("popstate", () => this.follow());
    addEventListener("hashchange", () => this.follow());
    addEventListener("online", () => this.openAgain());
    await this.open();
  }

  /** Finds out who is here, then shows what the address asks for. Where that cannot be had it says so, and tries again. */
  async open(): Promise<void> {
    if (this.opening) return;
    this.opening = true;
    clearTimeout(this.openTimer);
    try {
      this.me = (await this.api.me()).person;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) {
        this.openLater(error);
        return;
      }
      this.me = null;
      this.opening = false;
      const why = ENDED[error.code];
      this.follow();
      // Who comes back to a page whose session was ended is told why.
      if (why && this.view.peek().name === "sign-in") this.view.value = { name: "sign-in", notice: why, invite: null };
      return;
    } finally {
      this.opening = false;
    }
    this.follow();
  }

  private openLater(error: unknown): void {
    const view = this.view.peek();
    const attempts = view.name === "unreachable" ? view.attempts + 1 : 1;
    this.view.value = { name: "unreachable", error, attempts };
    this.openTimer = setTimeout(() => this.openAgain(), resendDelay(attempts, Math.random()));
  }

  private openAgain(): void {
    if (this.view.peek().name === "unreachable") void this.open();
  }

  /** Shows what the address bar asks for. */
  follow(): void {
    const { pathname, hash } = location;
    const code = hash.slice(1).trim();
    const [, asked] = /^\/settings(?:\/([a-z]+))?$/.exec(pathname) ?? [];
    const section = SECTIONS.find((name) => name === asked) ?? "profile";
    this.settings.value = this.me && pathname.startsWith("/settings") ? section : null;
    if (!this.settings.peek()) this.behind = null;
    if (pathname === "/invite") {
      this.leaveChat();
      this.view.value = { name: "invite", code, me: this.me };
    } else if (this.me) {
      if (pathname === "/activity") {
        this.showChat(this.me, null).showActivity();
        return;
      }
      const [, room = null, thread = null, message = null] = /^\/rooms\/([^/]+)(?:\/thread\/([^/]+)|\/([^/]+))?$/.exec(pathname) ?? [];
      this.showChat(this.me, room, message, thread);
    } else if (pathname === "/setup") {
      this.view.value = this.boot.setup_needed
        ? { name: "set-up", code }
        : { name: "sign-in", notice: "set-up-done", invite: null };
    } else if (this.boot.setup_needed) {
      this.view.value = { name: "not-set-up" };
    } else {
      this.view.value = { name: "sign-in", notice: null, invite: null };
    }
  }

  /** Back to what is behind the settings, which stayed as it was. */
  closeSettings(): void {
    if (this.behind !== null) {
      history.replaceState(null, "", this.behind);
      this.settings.value = null;
      return;
    }
    const open = this.chat?.open.peek();
    this.navigate(open ? `/rooms/${open}` : "/", true);
  }

  /** Changes the address and shows what it stands for. */
  navigate(path: string, replace = false): void {
    const { behind } = this;
    const { pathname } = location;
    if (replace) history.replaceState(null, "", path);
    else if (path !== location.pathname + location.hash) history.pushState(null, "", path);
    this.follow();
    if (this.settings.peek()) this.behind = pathname.startsWith("/settings") ? behind : pathname;
  }

  async setUp(code: string, who: Credentials): Promise<void> {
    const { person, room, invite } = await this.api.setUp(code, who);
    this.boot.setup_needed = false;
    this.enter(person, room, invite);
  }

  async createAccount(invite: string, who: Credentials): Promise<void> {
    const { person, room } = await this.api.createAccount(invite, who);
    this.enter(person, room, null);
  }

  async acceptInvite(code: string): Promise<void> {
    const { room } = await this.api.acceptInvite(code);
    this.navigate(`/rooms/${room.id}`, true);
  }

  async signIn(email: string, password: string, invite: string | null): Promise<void> {
    this.me = (await this.api.signIn(email, password)).person;
    if (invite) await this.acceptInvite(invite).catch(() => this.navigate("/", true));
    else if (/^\/(rooms|settings)\//.test(location.pathname) || PAGES.has(location.pathname)) this.follow();
    else this.navigate("/", true);
  }

  /** Offers sign-in to somebody who followed an invite and has an account already. */
  signInForInvite(invite: string, email: string): void {
    this.view.value = { name: "sign-in", notice: null, invite, email };
  }

  async signOut(): Promise<void> {
    await this.chat?.outbox.clear();
    // The server closes the socket before it answers, and who then asks for the session is told that it has ended.
    this.signingOut = true;
    try {
      await this.api.signOut().catch((error: unknown) => {
        // Without an answer the session would go on living; a 401 says it is gone already.
        if (!(error instanceof ApiError) || error.status !== 401) throw error;
      });
      this.toSignIn("signed-out");
    } finally {
      this.signingOut = false;
    }
  }

  private enter(person: Person, room: RoomInfo, invite: Invite | null): void {
    this.me = person;
    history.replaceState(null, "", `/rooms/${room.id}`);
    const chat = this.showChat(person, room.id);
    chat.adopt({ ...room, member: true });
    if (invite) chat.greet(room.id, invite);
  }

  private showChat(me: Person, room: string | null, message: string | null = null, thread: string | null = null): Chat {
    if (!this.chat) {
      const settings = new Settings(me.id);
      showTheme(settings.theme);
      showDensity(settings.density);
      this.chat = this.makeChat({
        me,
        api: this.api,
        websocketUrl: this.boot.websocket_url,
        version: this.boot.version,
        store: this.store,
        settings,
        doubt: () => void this.check(),
        navigate: (path, replace) => this.navigate(path, replace),
      });
      const chat = this.chat;
      void chat.start().then(() => this.chat === chat && this.goHome(chat));
    }
    this.view.value = { name: "chat", chat: this.chat };
    if (room) this.chat.go(room, message, thread);
    else if (location.pathname === "/threads") this.chat.goToThreads();
    else if (location.pathname !== "/activity") this.goHome(this.chat);
    return this.chat;
  }

  private goHome(chat: Chat): void {
    if (location.pathname.startsWith("/rooms/") || PAGES.has(location.pathname) || !chat.ready.peek()) return;
    const home = chat.home;
    if (this.settings.peek()) {
      if (chat.open.peek() === null && !chat.activity.open.peek() && !chat.overview.peek()) chat.go(home);
      return;
    }
    if (home) history.replaceState(null, "", `/rooms/${home}`);
    else if (location.pathname !== "/") history.replaceState(null, "", "/");
    chat.go(home);
  }

  /** Asks whether the session still stands; a server that is away proves nothing. */
  private async check(): Promise<void> {
    if (this.checking || !this.isSignedIn()) return;
    this.checking = true;
    const { me } = this;
    clearTimeout(this.checkTimer);
    try {
      const { person } = await this.api.me();
      if (this.me === me && this.chat) {
        this.chat.role.value = person.role;
        this.chat.email.value = person.email;
      }
      this.checksFailed = 0;
    } catch (error) {
      const ended = error instanceof ApiError && error.status === 401;
      // Whoever signed in meanwhile is not the one whose session that was.
      if (ended && this.isSignedIn() && this.me === me) this.toSignIn(ENDED[error.code] ?? "ended");
      // A connection that the server refused does not come back by itself, so the question must not be forgotten.
      if (!ended) this.checkAgain();
    } finally {
      this.checking = false;
    }
  }

  private checkAgain(): void {
    this.checksFailed += 1;
    clearTimeout(this.checkTimer);
    this.checkTimer = setTimeout(() => void this.check(), resendDelay(this.checksFailed, Math.random()));
  }

  private isSignedIn(): boolean {
    return this.me !== null && !this.signingOut;
  }

  private toSignIn(notice: SignInNotice): void {
    if (notice === "signed-out" && this.me) new Settings(this.me.id).forgetDrafts();
    this.me = null;
    this.settings.value = null;
    this.leaveChat();
    if (notice === "signed-out") history.replaceState(null, "", "/");
    this.view.value = { name: "sign-in", notice, invite: null };
  }

  private leaveChat(): void {
    this.behind = null;
    clearTimeout(this.checkTimer);
    this.chat?.close();
    this.chat = null;
  }
}
