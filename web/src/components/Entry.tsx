/** The cards before the chat: set-up, invite, sign-in, and what to do when none of them is due yet. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api.ts";
import type { App, SignInNotice } from "../models/app.ts";
import { resendDelay } from "../models/outbox.ts";
import { describe } from "../models/problems.ts";
import { strings } from "../strings.ts";
import type { InvitePreview, Person } from "../wire.ts";
import { EntryCard } from "./EntryCard.tsx";
import { EntryForm } from "./EntryForm.tsx";

const { entry, errors } = strings;

export function SetUp({ app, code }: { app: App; code: string }) {
  const server = app.boot.server_name;
  if (code === "") return <EntryCard title={entry.setUpTitle(server)} notice={entry.noCode} />;
  const submit = async (who: { name: string; email: string; password: string }): Promise<void> => {
    try {
      await app.setUp(code, who);
    } catch (error) {
      if (error instanceof ApiError && error.status === 403) throw new ApiError(403, error.code, errors.setUpCode);
      if (error instanceof ApiError && error.status === 409) throw new ApiError(409, error.code, errors.setUpDone);
      throw error;
    }
  };
  return (
    <EntryCard title={entry.setUpTitle(server)} lead={entry.setUpLead}>
      <EntryForm newAccount action={entry.start} onSubmit={submit} />
    </EntryCard>
  );
}

/** Said at `/` before the first account exists; only the terminal has the link. */
export function NotSetUp({ app }: { app: App }) {
  return (
    <EntryCard title={entry.notReadyTitle(app.boot.server_name)} lead={entry.notReadyLead}>
      <p>{entry.notReadyHow}</p>
      <p class="code-sample">{`${location.origin}/setup#…`}</p>
    </EntryCard>
  );
}

type SignInProps = { app: App; notice: SignInNotice | null; invite: string | null; email: string };

export function SignIn({ app, notice, invite, email: known }: SignInProps) {
  const notices = { ended: entry.sessionEnded, "signed-out": entry.signedOut, "set-up-done": errors.setUpDone, password: entry.passwordChanged, elsewhere: entry.signedOutElsewhere };
  return (
    <EntryCard
      title={entry.signInTitle(app.boot.server_name)}
      lead={invite === null ? undefined : entry.haveAccountLead}
      notice={notice && notices[notice]}
    >
      <EntryForm
        newAccount={false}
        action={entry.signIn}
        email={known}
        onSubmit={({ email, password }) => app.signIn(email, password, invite)}
      >
        {() =>
          invite !== null && (
            <button type="button" class="button button-quiet" onClick={() => app.follow()}>
              {entry.newHere}
            </button>
          )
        }
      </EntryForm>
      <details class="forgot">
        <summary>{entry.forgotTitle}</summary>
        <p>{entry.forgot}</p>
        <p class="code-sample">{entry.forgotCommand}</p>
      </details>
    </EntryCard>
  );
}

type Looked = { preview: InvitePreview } | { gone: true } | { problem: string } | null;

export function Invited({ app, code, me }: { app: App; code: string; me: Person | null }) {
  const [looked, setLooked] = useState<Looked>(null);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    if (code === "") return;
    let current = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const lookAgain = (): void => setAttempt(attempt + 1);
    const look = async (): Promise<void> => {
      const preview = await app.api.lookUpInvite(code);
      const isMember = me !== null && (await isIn(app, preview.room.id));
      if (!current) return;
      if (isMember) app.navigate(`/rooms/${preview.room.id}`, true);
      else setLooked({ preview });
    };
    look().catch(
      (error: unknown) => {
        if (!current) return;
        const gone = error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;
        setLooked(gone ? { gone: true } : { problem: describe(error) });
        if (gone) return;
        addEventListener("online", lookAgain);
        timer = setTimeout(lookAgain, resendDelay(attempt + 1, Math.random()));
      },
    );
    return () => {
      current = false;
      clearTimeout(timer);
      removeEventListener("online", lookAgain);
    };
  }, [app, code, me, attempt]);

  if (code === "") return <EntryCard title={app.boot.server_name} notice={entry.noCode} />;
  if (looked === null) return <EntryCard title={app.boot.server_name} lead={entry.loading} />;
  if ("problem" in looked) return <Retry app={app} problem={looked.problem} onRetry={() => setAttempt(attempt + 1)} />;
  if ("gone" in looked) {
    return (
      <EntryCard title={entry.inviteGone} lead={entry.inviteGoneHow}>
        <button type="button" class="button button-wide" onClick={() => app.navigate("/", true)}>
          {me ? entry.backToRooms : entry.goSignIn}
        </button>
      </EntryCard>
    );
  }
  const { inviter, room, server } = looked.preview;
  return (
    <EntryCard title={entry.inviteTitle(inviter)} lead={entry.inviteLead(room.name, server.name)}>
      {me ? (
        <Accept app={app} code={code} room={room.name} me={me} />
      ) : (
        <EntryForm newAccount action={entry.start} onSubmit={(who) => app.createAccount(code, who)}>
          {(email) => (
            <button type="button" class="button button-quiet" onClick={() => app.signInForInvite(code, email)}>
              {entry.haveAccount}
            </button>
          )}
        </EntryForm>
      )}
    </EntryCard>
  );
}

/** Whether the person is in a room already; where that cannot be told, the invite is offered. */
async function isIn(app: App, room: string): Promise<boolean> {
  return app.api.room(room).then(
    ({ member }) => member,
    () => false,
  );
}

function Accept({ app, code, room, me }: { app: App; code: string; room: string; me: Person }) {
  const [problem, setProblem] = useState<string | null>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => button.current?.focus(), []);
  return (
    <div class="form">
      <p>{entry.signedInAs(me.name)}</p>
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <button
        ref={button}
        type="button"
        class="button button-primary button-wide"
        onClick={() => void app.acceptInvite(code).catch((error: unknown) => setProblem(describe(error)))}
      >
        {entry.join(room)}
      </button>
    </div>
  );
}

export function Unreachable({ app, error }: { app: App; error: unknown }) {
  return <Retry app={app} problem={describe(error)} onRetry={() => void app.open()} />;
}

/** Whoever shows it tries again by itself; the button is for who does not want to wait. */
function Retry({ app, problem, onRetry }: { app: App; problem: string; onRetry: () => void }) {
  return (
    <EntryCard title={app.boot.server_name} notice={problem}>
      <p>{entry.triesAgain}</p>
      <button type="button" class="button button-primary button-wide" onClick={onRetry}>
        {entry.tryAgain}
      </button>
    </EntryCard>
  );
}
