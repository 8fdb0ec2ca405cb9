import type { App } from "../models/app.ts";
import { strings } from "../strings.ts";
import { ChatPage } from "./ChatPage.tsx";
import { Invited, NotSetUp, SetUp, SignIn, Unreachable } from "./Entry.tsx";

/** What the address and the session ask for. */
export function Root({ app }: { app: App }) {
  const view = app.view.value;
  switch (view.name) {
    case "loading":
      return <p class="visually-hidden">{strings.entry.loading}</p>;
    case "unreachable":
      return <Unreachable app={app} error={view.error} />;
    case "set-up":
      return <SetUp key={view.code} app={app} code={view.code} />;
    case "not-set-up":
      return <NotSetUp app={app} />;
    case "invite":
      return <Invited key={view.code} app={app} code={view.code} me={view.me} />;
    case "sign-in":
      return <SignIn app={app} notice={view.notice} invite={view.invite} email={view.email ?? ""} />;
    case "chat":
      return <ChatPage key={view.chat.me.id} app={app} chat={view.chat} />;
  }
}
