import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { formProblems, type FormProblems } from "../../models/problems.ts";

type Props = {
  title: string;
  /** The names of its fields, as the server calls them. */
  names: readonly string[];
  action: string;
  /** What is said once it was done. */
  done: string;
  /** What is wrong by the page's own knowledge, by field. */
  check?: () => FormProblems["fields"];
  onSubmit: () => Promise<void>;
  children: (problems: FormProblems["fields"]) => ComponentChildren;
  /** Beside its button. */
  beside?: ComponentChildren;
};

/** A form in a part of the settings: what is wrong stands beside its field, which has the focus then. */
export function SectionForm({ title, names, action, done, check, onSubmit, children, beside }: Props) {
  const [problems, setProblems] = useState<FormProblems>({ fields: {}, form: null });
  const [state, setState] = useState<"idle" | "busy" | "done">("idle");
  const form = useRef<HTMLFormElement>(null);
  const heading = useId();

  useEffect(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus(), [problems]);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (state === "busy") return;
    const fields = check?.() ?? {};
    setProblems({ fields, form: null });
    if (Object.keys(fields).length > 0) {
      setState("idle");
      return;
    }
    setState("busy");
    try {
      await onSubmit();
      setState("done");
    } catch (error) {
      setProblems(formProblems(error, names));
      setState("idle");
    }
  };

  return (
    <form
      ref={form}
      class="form settings-form"
      noValidate
      method="post"
      aria-labelledby={heading}
      onSubmit={(event) => void submit(event)}
      onInput={() => state === "done" && setState("idle")}
    >
      <h3 id={heading}>{title}</h3>
      {children(problems.fields)}
      {problems.form && (
        <p class="problem" role="alert">
          {problems.form}
        </p>
      )}
      <div class="settings-actions">
        <button type="submit" class="button button-primary" disabled={state === "busy"}>
          {action}
        </button>
        {beside}
        <span class="settings-done" role="status">
          {state === "done" ? done : ""}
        </span>
      </div>
    </form>
  );
}
