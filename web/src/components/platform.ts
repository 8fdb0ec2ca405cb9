/** What differs between the machines people sit at. */

/** The name of the key for commands. */
export function commandKey(): string {
  return /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘" : "Ctrl";
}

/** Whether fingers are the way to point, so that a focused text field brings up a keyboard over half the screen. */
export function isTouch(): boolean {
  return matchMedia("(pointer: coarse)").matches;
}

export function canShare(): boolean {
  return typeof navigator.share === "function";
}

/** Copies a text; false where the browser has no clipboard, as on a page served over plain HTTP. */
export async function copyText(text: string): Promise<boolean> {
  const { clipboard } = navigator as { clipboard?: Clipboard };
  if (!clipboard) return false;
  return clipboard.writeText(text).then(
    () => true,
    () => false,
  );
}
