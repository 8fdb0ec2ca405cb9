/** Who is at the screen: how a session ends, by its own will or not, and what is said of it. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { ApiError, type Api } from "../src/api.ts";
import { RESEND_DELAY_MAX_MS } from "../src/limits.ts";
import { App } from "../src/models/app.ts";
import type { Chat, ChatOptions } from "../src/models/chat.ts";
import type { Boot, Person } from "../src/wire.ts";
import { MemoryStore, settled } from "./world.ts";

const ANA: Person = { id: "person-ana", name: "Ana", email: "ana@example.org", role: "member" };
const ENDED = new ApiError(401, "not_signed_in", "");

/** What there is of a browser. */
beforeEach(() => {
  const location = { pathname: "/", hash: "" };
  const go = (_state: unknown, _title: string, path: string): void => {
    [location.pathname = "", location.hash = ""] = path.split(/(?=#)/);
  };
  Object.assign(globalThis, {
    location,
    history: { replaceState: go, pushState: go },
    document: { documentElement: { dataset: {} } },
    addEventListener: () => undefined,
  });
});

/** Requests that a test answers when it likes. */
class Answers {
  readonly waiting: { path: string; resolve: (value: never) => void; reject: (error: Error) => void }[] = [];

  ask = (path: string): Promise<never> => new Promise((resolve, reject) => this.waiting.push({ path, resolve, reject }));

  async give(path: string, answer: unknown): Promise<void> {
    const at = this.waiting.findIndex((one) => one.path === path);
    assert.notEqual(at, -1, `${path} is asked for`);
    const [one] = this.waiting.splice(at, 1);
    if (answer instanceof Error) one?.reject(answer);
    else one?.resolve(answer as never);
    await settled();
  }
}

/** A page where Ana is signed in; `doubt` is what its connection says when it is refused or closed. */
async function signedIn(): Promise<{ app: App; answers: Answers; doubt: () => Promise<void>; closed: () => boolean }> {
  const answers = new Answers();
  const api = {
    me: () => answers.ask("me"),
    signIn: () => answers.ask("sign in"),
    signOut: () => answers.ask("sign out"),
  } as unknown as Api;
  let options: ChatOptions | undefined;
  let closed = false;
  const chat = {
    start: () => Promise.resolve(),
    close: () => (closed = true),
    go: () => undefined,
    home: null,
    ready: { peek: () => true },
    outbox: { clear: () => Promise.resolve() },
  } as unknown as Chat;
  const app = new App({ setup_needed: false } as Boot, api, new MemoryStore(), (given) => {
    options = given;
    closed = false;
    return chat;
  });
  void app.open();
  await answers.give("me", { person: ANA });
  assert.equal(app.view.value.name, "chat");
  const doubt = (): Promise<void> => {
    options?.doubt();
    return settled();
  };
  return { app, answers, doubt, closed: () => closed };
}

const notice = (app: App): unknown => (app.view.value.name === "sign-in" ? app.view.value.notice : app.view.value.name);

test("who signs out is told so, although the server closes the connection before it answers", async () => {
  const { app, answers, doubt, closed } = await signedIn();
  const leaving = app.signOut();
  await settled();
  await doubt();
  assert.deepEqual(answers.waiting.map(({ path }) => path), ["sign out"], "nobody asks for a session that is being ended");
  await answers.give("sign out", null);
  await leaving;
  assert.deepEqual([notice(app), closed()], ["signed-out", true]);
});

test("who signs out is told so, although the session was asked for before and the answer is that it has ended", async () => {
  for (const first of ["me", "sign out"]) {
    const { app, answers, doubt } = await signedIn();
    await doubt();
    const leaving = app.signOut();
    await settled();
    const given: Record<string, unknown> = { me: ENDED, "sign out": null };
    for (const path of first === "me" ? ["me", "sign out"] : ["sign out", "me"]) await answers.give(path, given[path]);
    await leaving;
    assert.equal(notice(app), "signed-out", `${first} first`);
  }
});

test("a sign-out that the server did not hear of leaves the person where they are, and later doubts are looked at", async () => {
  const { app, answers, doubt } = await signedIn();
  const leaving = app.signOut();
  await settled();
  await Promise.all([assert.rejects(leaving), answers.give("sign out", new ApiError(0, "unreachable", ""))]);
  assert.equal(notice(app), "chat");
  await doubt();
  await answers.give("me", ENDED);
  assert.equal(notice(app), "ended");
});

test("a session that was ended elsewhere is told as such; a server that is away proves nothing", async () => {
  const { app, answers, doubt } = await signedIn();
  await doubt();
  await answers.give("me", new ApiError(0, "unreachable", ""));
  assert.equal(notice(app), "chat");
  await doubt();
  await doubt();
  assert.equal(answers.waiting.length, 1, "one question at a time");
  await answers.give("me", ENDED);
  assert.equal(notice(app), "ended");
});

test("a late answer about the session before does not end the next one", async () => {
  const { app, answers, doubt } = await signedIn();
  await doubt();
  const leaving = app.signOut();
  await settled();
  await answers.give("sign out", null);
  await leaving;
  const entering = app.signIn("ana@example.org", "correct horse battery", null);
  await answers.give("sign in", { person: { ...ANA } });
  await entering;
  await answers.give("me", ENDED);
  assert.equal(notice(app), "chat");
});

test("a question about the session that got no answer is asked again until there is one", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { app, answers, doubt } = await signedIn();
  await doubt();
  for (let n = 0; n < 3; n++) {
    await answers.give("me", new ApiError(503, "busy", ""));
    assert.equal(answers.waiting.length, 0, "not at once");
    t.mock.timers.tick(60_000);
  }
  await answers.give("me", ENDED);
  assert.equal(notice(app), "ended");
  t.mock.timers.tick(600_000);
  assert.equal(answers.waiting.length, 0);
});

/** A page that is opened while the server cannot say who is there. */
async function opened(error: ApiError): Promise<{ app: App; answers: Answers; online: () => void }> {
  const answers = new Answers();
  const listeners: Record<string, () => void> = {};
  Object.assign(globalThis, {
    addEventListener: (name: string, listener: () => void) => (listeners[name] = listener),
  });
  const app = new App({ setup_needed: false } as Boot, { me: () => answers.ask("me") } as unknown as Api, new MemoryStore());
  void app.start();
  await answers.give("me", error);
  assert.equal(app.view.value.name, "unreachable");
  return { app, answers, online: () => listeners.online?.() };
}

test("a page that was opened while the server could not answer comes up by itself", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (const error of [new ApiError(503, "busy", "The server is busy."), new ApiError(0, "unreachable", "")]) {
    const { app, answers } = await opened(error);
    for (let attempts = 1; attempts <= 8; attempts++) {
      assert.deepEqual([app.view.value, answers.waiting.length], [{ name: "unreachable", error, attempts }, 0]);
      t.mock.timers.tick(RESEND_DELAY_MAX_MS);
      await answers.give("me", attempts < 8 ? error : ENDED);
    }
    assert.equal(notice(app), null, "the card to sign in");
    t.mock.timers.tick(RESEND_DELAY_MAX_MS);
    assert.equal(answers.waiting.length, 0);
  }
});

test("the network's return, and the button, ask at once, and never twice at a time", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { app, answers, online } = await opened(new ApiError(0, "unreachable", ""));
  online();
  void app.open();
  t.mock.timers.tick(RESEND_DELAY_MAX_MS);
  assert.equal(answers.waiting.length, 1);
  await answers.give("me", ENDED);
  assert.equal(notice(app), null);
  online();
  assert.equal(answers.waiting.length, 0, "who is there is known");
});
