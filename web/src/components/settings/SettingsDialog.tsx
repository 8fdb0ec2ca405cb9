import { useEffect } from "preact/hooks";
import { SECTIONS, type App, type Section } from "../../models/app.ts";
import type { Chat } from "../../models/chat.ts";
import type { Layout } from "../../models/layout.ts";
import { strings } from "../../strings.ts";
import { Dialog } from "../Dialog.tsx";
import { AccountSection } from "./AccountSection.tsx";
import { AppearanceSection } from "./AppearanceSection.tsx";
import { ProfileSection } from "./ProfileSection.tsx";
import { SessionsSection } from "./SessionsSection.tsx";
import { TokensSection } from "./TokensSection.tsx";

type Props = { app: App; chat: Chat; layout: Layout; section: Section };

/** What this person says of themselves, how they sign in, where they are signed in, how the page looks: a part has its address. */
export function SettingsDialog({ app, chat, layout, section }: Props) {
  useEffect(() => {
    layout.rooms.value = false;
  }, [layout]);
  // On a narrow screen the parts are a strip that scrolls.
  useEffect(() => {
    document.querySelector(".settings-link[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [section]);
  return (
    <Dialog title={strings.settings.title} onClose={() => app.closeSettings()} size="settings" first="[aria-current=page]">
      <div class="settings">
        <nav class="settings-nav" aria-label={strings.settings.title}>
          <ul>
            {SECTIONS.map((name) => (
              <li key={name}>
                <a
                  class="settings-link"
                  href={`/settings/${name}`}
                  aria-current={name === section ? "page" : undefined}
                  onClick={(event) => {
                    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                    event.preventDefault();
                    app.navigate(`/settings/${name}`, true);
                  }}
                >
                  {strings.settings.sections[name]}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <section class="settings-section" aria-label={strings.settings.sections[section]}>
          {section === "profile" && <ProfileSection chat={chat} layout={layout} />}
          {section === "account" && <AccountSection app={app} chat={chat} />}
          {section === "sessions" && <SessionsSection app={app} />}
          {section === "tokens" && <TokensSection app={app} />}
          {section === "appearance" && <AppearanceSection chat={chat} />}
        </section>
      </div>
    </Dialog>
  );
}
