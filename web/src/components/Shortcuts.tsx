import { strings } from "../strings.ts";
import { Dialog } from "./Dialog.tsx";
import { commandKey } from "./platform.ts";

/** The sheet of keys. */
export function Shortcuts({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title={strings.shortcuts.title} onClose={onClose} wide>
      <dl class="shortcuts">
        {strings.shortcuts.list(commandKey()).map(([keys, what]) => (
          <div key={what} class="shortcut">
            <dt>
              {keys.map((key, i) => [i > 0 && <span key="or"> {strings.shortcuts.or} </span>, <kbd key={key}>{key}</kbd>])}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
