import { useState } from "preact/hooks";
import { strings } from "../strings.ts";
import { describe } from "../models/problems.ts";
import { Dialog } from "./Dialog.tsx";

type Props = { title: string; lead: string; action: string; onConfirm: () => Promise<void>; onClose: () => void; onCancel?: () => void; calm?: boolean };

/** Asks before something that cannot be taken back. `onCancel` is for where it is not simply closed when it is not done, `calm` for where nothing is lost. */
export function Confirm({ title, lead, action, onConfirm, onClose, onCancel = onClose, calm = false }: Props) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);

  const confirm = async (): Promise<void> => {
    setBusy(true);
    setProblem(null);
    try {
      await onConfirm();
      onClose();
    } catch (error) {
      setProblem(describe(error));
      setBusy(false);
    }
  };

  return (
    <Dialog title={title} onClose={onCancel}>
      <p class="lead">{lead}</p>
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <div class="dialog-actions">
        <button type="button" class="button" onClick={onCancel}>
          {strings.rooms.cancel}
        </button>
        <button type="button" class={calm ? "button button-primary" : "button button-danger"} disabled={busy} onClick={() => void confirm()}>
          {action}
        </button>
      </div>
    </Dialog>
  );
}
