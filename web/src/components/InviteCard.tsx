import { Check, Copy, Share2, X } from "lucide";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api.ts";
import type { App } from "../models/app.ts";
import type { Chat, Welcome } from "../models/chat.ts";
import { describe } from "../models/problems.ts";
import type { Room } from "../models/room.ts";
import { shortDate } from "../models/times.ts";
import { strings } from "../strings.ts";
import type { Invite } from "../wire.ts";
import { Icon } from "./Icon.tsx";
import { canShare, copyText } from "./platform.ts";
import { QrCode } from "./QrCode.tsx";
import { focusComposer } from "./keyboard.ts";

type Props = { app: App; chat: Chat; room: Room; welcome: Welcome };

/** The link that brings the next person in: to copy, to scan, to share. Stands above the composer until dismissed. */
export function InviteCard({ app, chat, room, welcome }: Props) {
  const [problem, setProblem] = useState<string | null>(null);
  const [attempt, setAttempt] = useState(0);
  const [renewed, setRenewed] = useState(false);
  const [unfolded, setUnfolded] = useState(false);
  const card = useRef<HTMLElement>(null);
  const heading = useId();
  const { invite, asked } = welcome;
  // Somebody came: the greeting has done its work and makes room.
  const greets = welcome.first && !room.company.value;
  const folded = welcome.first && !greets && !unfolded;
  const { name } = room.info.value;

  useEffect(() => {
    if (invite) return;
    app.api.invite(room.id).then(
      (found) => {
        chat.welcome.value = { ...welcome, invite: found };
        setProblem(null);
      },
      (error: unknown) => setProblem(error instanceof ApiError && error.status === 403 ? strings.invite.revoked : describe(error)),
    );
  }, [app, chat, room, welcome, invite, attempt]);

  useEffect(() => {
    if (asked > 0) card.current?.focus();
  }, [asked]);

  useEffect(() => {
    if (welcome.first && !greets) chat.settings.welcome = null;
  }, [chat, welcome, greets]);

  // What had the focus may be folded away.
  const hadFocus = card.current?.contains(document.activeElement) ?? false;
  useLayoutEffect(() => {
    if (hadFocus && !card.current?.contains(document.activeElement)) card.current?.focus();
  }, [folded, hadFocus]);

  const renew = async (): Promise<void> => {
    try {
      const renewedInvite = await app.api.renewInvite(room.id);
      chat.welcome.value = { ...welcome, invite: renewedInvite };
      setRenewed(true);
      setProblem(null);
    } catch (error) {
      setProblem(describe(error));
    }
  };

  const dismiss = (): void => {
    chat.dismissInvite();
    focusComposer();
  };

  return (
    <section
      ref={card}
      class={folded ? "invite invite-folded" : "invite"}
      aria-labelledby={heading}
      data-testid="invite-card"
      tabIndex={-1}
    >
      <header class="invite-header">
        <h2 id={heading}>{greets ? strings.invite.welcome(name) : strings.invite.title(name)}</h2>
        {folded && (
          <button type="button" class="link-button" onClick={() => setUnfolded(true)}>
            {strings.invite.show}
          </button>
        )}
        <button type="button" class="icon-button" aria-label={strings.invite.dismiss} title={strings.invite.dismiss} onClick={dismiss}>
          <Icon of={X} />
        </button>
      </header>
      {invite && !folded && (
        <div class="invite-body">
          <div class="invite-words">
            <p class="lead">{strings.invite.lead}</p>
            <InviteLink key={invite.url} url={invite.url} room={name} server={app.boot.server_name} />
            {app.boot.only_this_computer && (
              <p class="invite-note">
                {strings.invite.onlyThisComputer}{" "}
                {strings.invite.onlyThisComputerOptions(portInUse()).map((option, i) => [
                  i > 0 && ` ${strings.invite.and} `,
                  <code key={option}>{option}</code>,
                ])}
                .
              </p>
            )}
            {renewed && (
              <p class="invite-small" role="status">
                {strings.invite.renewed}
              </p>
            )}
            <p class="invite-small">
              {until(invite)}{" "}
              <button type="button" class="link-button" title={strings.invite.renewLead} onClick={() => void renew()}>
                {strings.invite.renew}
              </button>
            </p>
          </div>
          <QrCode text={invite.url} label={strings.invite.qr} />
        </div>
      )}
      {problem && (
        <p class="problem" role="alert">
          {problem}{" "}
          {!invite && problem !== strings.invite.revoked && (
            <button
              type="button"
              class="link-button"
              onClick={() => {
                setProblem(null);
                setAttempt(attempt + 1);
              }}
            >
              {strings.room.retry}
            </button>
          )}
        </p>
      )}
    </section>
  );
}

/** An address without a port uses its scheme's own. */
function portInUse(): string {
  return location.port || (location.protocol === "https:" ? "443" : "80");
}

function until(invite: Invite): string {
  return invite.expires === null ? "" : strings.invite.until(shortDate(invite.expires));
}

function InviteLink({ url, room, server }: { url: string; room: string; server: string }) {
  const [outcome, setOutcome] = useState<"copied" | "by-hand" | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);

  const copy = async (): Promise<void> => {
    const copied = await copyText(url);
    // Without a clipboard the link stands selected, one key away from being copied.
    if (!copied) {
      field.current?.focus();
      field.current?.select();
    }
    setOutcome(copied ? "copied" : "by-hand");
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setOutcome(null), 4_000);
  };

  return (
    <>
      <div class="invite-link">
        <input
          ref={field}
          class="input"
          readOnly
          aria-label={strings.invite.link}
          value={url}
          onFocus={(event) => event.currentTarget.select()}
        />
        <button type="button" class="button button-primary" onClick={() => void copy()}>
          <Icon of={outcome === "copied" ? Check : Copy} size={16} />
          {outcome === "copied" ? strings.invite.copied : strings.invite.copy}
        </button>
        {canShare() && (
          <button
            type="button"
            class="button"
            onClick={() => void navigator.share({ url, text: strings.invite.shareText(room, server) }).catch(() => undefined)}
          >
            <Icon of={Share2} size={16} />
            {strings.invite.share}
          </button>
        )}
      </div>
      <p class="visually-hidden" role="status">
        {outcome === "copied" ? strings.invite.copied : ""}
      </p>
      {outcome === "by-hand" && (
        <p class="invite-small" role="status">
          {strings.invite.copyByHand}
        </p>
      )}
    </>
  );
}
