import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { NAME_CHARACTERS_MAX, PASSWORD_CHARACTERS_MIN } from "../limits.ts";
import { formProblems, type FormProblems } from "../models/problems.ts";
import { strings } from "../strings.ts";
import { Field } from "./Field.tsx";

const { entry, errors } = strings;
const NONE: FormProblems = { fields: {}, form: null };

type Values = { name: string; email: string; password: string };
type Props = {
  /** Making an account asks for a name and a new password; signing in does not. */
  newAccount: boolean;
  action: string;
  onSubmit: (values: Values) => Promise<void>;
  /** An e-mail that is known already; the password is then what is asked for. */
  email?: string;
  /** What stands under the button; may go on with the e-mail typed so far. */
  children?: (email: string) => ComponentChildren;
};

/** The form of the set-up, invite and sign-in cards. What is wrong stands next to its field; the first one gets focus. */
export function EntryForm({ newAccount, action, onSubmit, email = "", children }: Props) {
  const [values, setValues] = useState<Values>({ name: "", email, password: "" });
  const [problems, setProblems] = useState<FormProblems>(NONE);
  const [busy, setBusy] = useState(false);
  const [submits, setSubmits] = useState(0);
  const form = useRef<HTMLFormElement>(null);

  useEffect(() => {
    const inputs = [...(form.current?.querySelectorAll("input") ?? [])];
    (inputs.find((input) => input.value === "") ?? inputs.at(-1))?.focus();
  }, []);

  // Only after a submit: correcting one field must not pull the focus to the next.
  useEffect(() => {
    if (!busy) form.current?.querySelector<HTMLInputElement>("[aria-invalid=true]")?.focus();
  }, [submits, busy]);

  const field = (name: keyof Values) => ({
    name,
    value: values[name],
    error: problems.fields[name],
    required: true,
    onInput: (value: string) => {
      setValues((before) => ({ ...before, [name]: value }));
      if (problems.fields[name] !== undefined) {
        const others = Object.entries(problems.fields).filter(([other]) => other !== name);
        setProblems({ ...problems, fields: Object.fromEntries(others) });
      }
    },
  });

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    const trimmed = { ...values, name: values.name.trim(), email: values.email.trim() };
    const found = check(trimmed, newAccount);
    setProblems({ fields: found, form: null });
    setSubmits(submits + 1);
    if (Object.keys(found).length > 0) return;
    setBusy(true);
    try {
      await onSubmit(trimmed);
    } catch (error) {
      setProblems(formProblems(error, ["name", "email", "password"]));
    } finally {
      setBusy(false);
    }
  };

  return (
    <form ref={form} class="form" noValidate method="post" onSubmit={(event) => void submit(event)}>
      {newAccount && (
        <Field {...field("name")} label={entry.name} hint={entry.nameHint} autocomplete="name" maxLength={NAME_CHARACTERS_MAX} />
      )}
      <Field
        {...field("email")}
        label={entry.email}
        hint={newAccount ? entry.emailHint : undefined}
        type="email"
        autocomplete="username"
      />
      <Field
        {...field("password")}
        label={entry.password}
        hint={newAccount ? entry.passwordHint(PASSWORD_CHARACTERS_MIN) : undefined}
        type="password"
        autocomplete={newAccount ? "new-password" : "current-password"}
      />
      {problems.form && (
        <p class="problem" role="alert">
          {problems.form}
        </p>
      )}
      <button type="submit" class="button button-primary button-wide" disabled={busy}>
        {busy ? entry.working : action}
      </button>
      {children?.(values.email.trim())}
    </form>
  );
}

/** What can be said without asking the server. */
function check(values: Values, newAccount: boolean): Record<string, string> {
  const found: Record<string, string> = {};
  if (newAccount && values.name === "") found.name = errors.nameEmpty;
  if (values.email === "") found.email = errors.emailEmpty;
  else if (!/^[^\s@]+@[^\s@]+$/.test(values.email)) found.email = errors.emailOdd;
  const length = Array.from(values.password).length;
  if (length === 0) found.password = errors.passwordEmpty;
  else if (newAccount && length < PASSWORD_CHARACTERS_MIN) {
    found.password = errors.passwordShort(PASSWORD_CHARACTERS_MIN, length);
  }
  return found;
}
