import { useState } from "preact/hooks";
import { PASSWORD_CHARACTERS_MIN } from "../../limits.ts";
import type { App } from "../../models/app.ts";
import type { Chat } from "../../models/chat.ts";
import { strings } from "../../strings.ts";
import { Field } from "../Field.tsx";
import { SectionForm } from "./SectionForm.tsx";

const { account: words, entry, errors, settings } = strings;

/** How this person signs in. Each change asks for the present password. */
export function AccountSection({ app, chat }: { app: App; chat: Chat }) {
  return (
    <>
      <EmailForm app={app} chat={chat} />
      <PasswordForm app={app} chat={chat} />
    </>
  );
}

function EmailForm({ app, chat }: { app: App; chat: Chat }) {
  const [email, setEmail] = useState(chat.email.peek());
  const [present, setPresent] = useState("");
  const check = (): Record<string, string> => ({
    ...(email.trim() === "" ? { email: errors.emailEmpty } : !/^[^\s@]+@[^\s@]+$/.test(email.trim()) ? { email: errors.emailOdd } : {}),
    ...(present === "" && { present: errors.passwordEmpty }),
  });
  return (
    <SectionForm
      title={words.email}
      names={["email", "present"]}
      action={words.changeEmail}
      done={settings.saved}
      check={check}
      onSubmit={async () => {
        const { person } = await app.api.setEmail(present, email.trim());
        chat.email.value = person.email;
        setEmail(person.email);
        setPresent("");
      }}
    >
      {(problems) => (
        <>
          <Field label={words.newEmail} name="email" type="email" value={email} onInput={setEmail} error={problems.email} hint={words.emailHint} autocomplete="username" required />
          <Field label={words.present} name="present" type="password" value={present} onInput={setPresent} error={problems.present} autocomplete="current-password" required />
        </>
      )}
    </SectionForm>
  );
}

function PasswordForm({ app, chat }: { app: App; chat: Chat }) {
  const [present, setPresent] = useState("");
  const [password, setPassword] = useState("");
  const [tokens, setTokens] = useState(0);
  const check = (): Record<string, string> => {
    const { length } = Array.from(password);
    return {
      ...(present === "" && { present: errors.passwordEmpty }),
      ...(length === 0 ? { password: errors.passwordEmpty } : length < PASSWORD_CHARACTERS_MIN ? { password: errors.passwordShort(PASSWORD_CHARACTERS_MIN, length) } : {}),
    };
  };
  return (
    <SectionForm
      title={words.password}
      names={["present", "password"]}
      action={words.changePassword}
      done={words.passwordChanged}
      check={check}
      onSubmit={async () => {
        await app.api.setPassword(present, password);
        setPresent("");
        setPassword("");
        // What acts in one's name without the password is for them to judge.
        setTokens(await app.api.tokens().then((found) => found.tokens.length, () => 0));
      }}
    >
      {(problems) => (
        <>
          {tokens > 0 && (
            <p class="settings-lead">
              {words.tokensStay(tokens)}{" "}
              <button type="button" class="link-button" onClick={() => app.navigate("/settings/tokens", true)}>
                {words.lookAtTokens}
              </button>
            </p>
          )}
          <p class="settings-lead">{words.passwordLead}</p>
          {/* So that a password manager knows whose it is. */}
          <input type="email" name="username" autocomplete="username" value={chat.email.value} readOnly hidden />
          <Field label={words.present} name="present" type="password" value={present} onInput={setPresent} error={problems.present} autocomplete="current-password" required />
          <Field label={words.newPassword} name="password" type="password" value={password} onInput={setPassword} error={problems.password} hint={entry.passwordHint(PASSWORD_CHARACTERS_MIN)} autocomplete="new-password" required />
        </>
      )}
    </SectionForm>
  );
}
