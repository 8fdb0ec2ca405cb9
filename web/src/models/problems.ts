/** From an error of the API to words a person can act on, at the field concerned where there is one. */
import { ApiError } from "../api.ts";
import { strings } from "../strings.ts";

export type FormProblems = { fields: Record<string, string>; form: string | null };

const BY_CODE: Record<string, string> = {
  account_exists: strings.errors.accountExists,
  invite_invalid: strings.entry.inviteGone,
  sign_in_failed: strings.errors.signInFailed,
};

/** One sentence for an error. */
export function describe(error: unknown): string {
  if (!(error instanceof ApiError)) return strings.errors.unknown;
  // A proxy that stands before the server answers for it in its own words.
  if (error.status === 0 || (error.status >= 502 && !error.code)) return strings.errors.unreachable;
  // The server says how long to wait; whoever stands before it may not.
  if (error.status === 429) return error.code ? error.detail || strings.errors.tooMany : strings.errors.tooMany;
  return BY_CODE[error.code] ?? (error.status === 403 ? error.detail || strings.errors.forbidden : error.detail || strings.errors.unknown);
}

/** The same for a form: what concerns a field stands next to it, the rest above the button. */
export function formProblems(error: unknown, fields: readonly string[]): FormProblems {
  if (error instanceof ApiError && error.code === "password_common") {
    return { fields: { password: strings.errors.passwordCommon }, form: null };
  }
  const found = error instanceof ApiError ? Object.entries(error.fields).filter(([name]) => fields.includes(name)) : [];
  return found.length > 0 ? { fields: Object.fromEntries(found), form: null } : { fields: {}, form: describe(error) };
}
