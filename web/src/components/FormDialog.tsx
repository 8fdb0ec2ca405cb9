import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { formProblems, type FormProblems } from "../models/problems.ts";
import { strings } from "../strings.ts";
import { Dialog } from "./Dialog.tsx";

type Props = {
  title: string;
  /** The names of its fields, as the server calls them. */
  names: readonly string[];
  action: string;
  danger?: boolean;
  /** Whether there is nothing to do yet. */
  idle?: boolean;
  onClose: () => void;
  /** What is wrong by the page's own knowledge, by field. */
  check: () => FormProblems["fields"];
  onSubmit: () => Promise<void>;
  /** The fields, with what is wrong with them. */
  children: (problems: FormProblems["fields"]) => ComponentChildren;
};

/** A dialog that asks for something: what is wrong stands beside its field, which has the focus then. */
export function FormDialog({ title, names, action, danger, idle = false, onClose, check, onSubmit, children }: Props) {
  const [problems, setProblems] = useState<FormProblems>({ fields: {}, form: null });
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);

  useEffect(() => form.current?.querySelector<HTMLInputElement>("[aria-invalid=true]")?.focus(), [problems]);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy || idle) return;
    const fields = check();
    if (Object.keys(fields).length > 0) {
      setProblems({ fields, form: null });
      return;
    }
    setBusy(true);
    try {
      await onSubmit();
    } catch (error) {
      setProblems(formProblems(error, names));
      setBusy(false);
    }
  };

  return (
    <Dialog title={title} onClose={onClose}>
      <form ref={form} class="form" noValidate method="post" onSubmit={(event) => void submit(event)}>
        {children(problems.fields)}
        {problems.form && (
          <p class="problem" role="alert">
            {problems.form}
          </p>
        )}
        <div class="dialog-actions">
          <button type="button" class="button" onClick={onClose}>
            {strings.rooms.cancel}
          </button>
          <button type="submit" class={danger ? "button button-danger" : "button button-primary"} disabled={busy || idle}>
            {action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
