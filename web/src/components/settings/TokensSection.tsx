import { KeyRound } from "lucide";
import { useEffect, useRef, useState } from "preact/hooks";
import { NAME_CHARACTERS_MAX } from "../../limits.ts";
import type { App } from "../../models/app.ts";
import { describe } from "../../models/problems.ts";
import { relativeTime, shortDate } from "../../models/times.ts";
import { strings } from "../../strings.ts";
import { SCOPES, type PersonalToken, type Scope } from "../../wire.ts";
import { Field } from "../Field.tsx";
import { Icon } from "../Icon.tsx";
import { copyText } from "../platform.ts";
import { Choose } from "./Choose.tsx";
import { SectionForm } from "./SectionForm.tsx";

const { tokens: words } = strings;

type Lasts = "30" | "90" | "365" | "always";
const LASTS: readonly Lasts[] = ["30", "90", "365", "always"];

/** What programs show that act in this person's name: made, shown once, and revoked. */
export function TokensSection({ app }: { app: App }) {
  const [tokens, setTokens] = useState<PersonalToken[] | null>(null);
  const [made, setMade] = useState<{ token: PersonalToken; secret: string } | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [done, setDone] = useState("");

  useEffect(() => {
    app.api.tokens().then(
      (found) => setTokens(found.tokens),
      () => setProblem(words.failed),
    );
  }, [app]);

  const revoke = async (token: PersonalToken): Promise<void> => {
    setProblem(null);
    try {
      await app.api.revokeToken(token.id);
      setTokens((before) => before?.filter(({ id }) => id !== token.id) ?? null);
      if (made?.token.id === token.id) setMade(null);
      setDone(words.revoked(token.name));
    } catch (error) {
      setProblem(describe(error));
    }
  };

  return (
    <>
      <MakeToken
        app={app}
        onMade={({ secret, ...token }) => {
          setTokens((before) => [token, ...(before ?? [])]);
          setMade({ token, secret });
        }}
      />
      {made && <Secret key={made.token.id} name={made.token.name} secret={made.secret} />}
      <div class="settings-form">
        <h3>{words.heading}</h3>
        {problem && (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
        {tokens?.length === 0 && <p class="settings-lead">{words.none}</p>}
        <ul class="browse" aria-label={words.heading}>
          {tokens?.map((token) => (
            <li key={token.id} class="browse-room">
              <Icon of={KeyRound} />
              <div class="browse-words">
                <strong>
                  <bdi>{token.name}</bdi>
                </strong>
                <p class="browse-count">
                  {[
                    token.scopes.map((scope) => words.scopes[scope]).join(", "),
                    token.last_used === undefined ? words.unused : words.lastUsed(relativeTime(token.last_used, Date.now())),
                    token.expires === undefined ? words.endless : words.expires(shortDate(token.expires)),
                  ].join(" · ")}
                </p>
              </div>
              <button type="button" class="button" aria-label={words.revokeLabel(token.name)} onClick={() => void revoke(token)}>
                {words.revoke}
              </button>
            </li>
          ))}
        </ul>
        <span class="settings-done" role="status">
          {done}
        </span>
      </div>
    </>
  );
}

function MakeToken({ app, onMade }: { app: App; onMade: (made: PersonalToken & { secret: string }) => void }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<readonly Scope[]>(["read"]);
  const [lasts, setLasts] = useState<Lasts>("90");
  return (
    <SectionForm
      title={words.make}
      names={["name", "scopes"]}
      action={words.makeButton}
      done=""
      check={() => ({ ...(name.trim() === "" && { name: words.nameEmpty }), ...(scopes.length === 0 && { scopes: words.noScope }) })}
      onSubmit={async () => {
        const expires = lasts === "always" ? undefined : Date.now() + Number(lasts) * 86_400_000;
        onMade(await app.api.makeToken(name.trim(), scopes, expires));
        setName("");
      }}
    >
      {(problems) => (
        <>
          <p class="settings-lead">{words.lead}</p>
          <Field label={words.name} name="name" value={name} onInput={setName} error={problems.name} hint={words.nameHint} maxLength={NAME_CHARACTERS_MAX} required />
          <fieldset class="choices" aria-describedby={problems.scopes ? "scopes-error" : undefined}>
            <legend class="field-label">{words.scopesLabel}</legend>
            {SCOPES.map((scope) => (
              <label key={scope} class="choice">
                <input
                  type="checkbox"
                  checked={scopes.includes(scope)}
                  aria-invalid={problems.scopes !== undefined}
                  aria-describedby={`scope-${scope}`}
                  onChange={(event) => setScopes(SCOPES.filter((other) => (other === scope ? event.currentTarget.checked : scopes.includes(other))))}
                />
                <span class="choice-words">
                  <span class="choice-label">{words.scopes[scope]}</span>
                  <span class="field-hint" id={`scope-${scope}`}>
                    {words.scopeHints[scope]}
                  </span>
                </span>
              </label>
            ))}
            {problems.scopes && (
              <p class="field-error" id="scopes-error">
                {problems.scopes}
              </p>
            )}
          </fieldset>
          <Choose label={words.lasts} value={lasts} onChange={setLasts} options={LASTS.map((value) => ({ value, label: words.spans[value] }))} />
        </>
      )}
    </SectionForm>
  );
}

/** Shown once: nobody can see it again. */
function Secret({ name, secret }: { name: string; secret: string }) {
  const [said, setSaid] = useState("");
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const copy = async (): Promise<void> => {
    const copied = await copyText(secret);
    if (!copied) field.current?.select();
    setSaid(copied ? words.copied : words.copyByHand);
  };
  return (
    <div class="settings-form token-secret">
      <h3>{words.secretTitle(name)}</h3>
      <p class="settings-lead">{words.secretLead}</p>
      <div class="token-row">
        <input ref={field} class="input" readOnly value={secret} aria-label={words.secret} onFocus={(event) => event.currentTarget.select()} />
        <button type="button" class="button" onClick={() => void copy()}>
          {words.copy}
        </button>
      </div>
      <span class="settings-done" role="status">
        {said}
      </span>
    </div>
  );
}
