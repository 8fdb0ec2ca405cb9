import { Check, Copy } from "lucide";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Piece } from "../highlight.ts";
import { COPIED_SHOWN_MS, HIGHLIGHTED_CHARACTERS_MAX } from "../limits.ts";
import { strings } from "../strings.ts";
import { Icon } from "./Icon.tsx";
import { copyText } from "./platform.ts";

const { content } = strings;

/** Code of a message, with its language and a way to copy it; coloured as soon as the colours are loaded. */
export function CodeBlock({ language, text }: { language: string | undefined; text: string }) {
  const code = useRef<HTMLPreElement>(null);
  const [pieces, setPieces] = useState<Piece[] | null>(null);
  const [copied, setCopied] = useState<"no" | "yes" | "by-hand">("no");
  const [scrolls, setScrolls] = useState(false);

  useEffect(() => {
    setPieces(null);
    if (language === undefined || text.length > HIGHLIGHTED_CHARACTERS_MAX) return;
    let gone = false;
    // A page of before an update finds the file no more: without colours it reads as well.
    import("../highlight.ts").then(
      ({ highlight }) => !gone && setPieces(highlight(language, text)),
      () => undefined,
    );
    return () => (gone = true);
  }, [language, text]);

  // What is wider than its box is scrolled with the arrow keys, so it takes the focus; the rest would only be in the way.
  useLayoutEffect(() => {
    const element = code.current;
    if (!element) return;
    const measure = (): void => setScrolls(element.scrollWidth > element.clientWidth);
    measure();
    const resized = new ResizeObserver(measure);
    resized.observe(element);
    return () => resized.disconnect();
  }, [text]);

  useEffect(() => {
    if (copied !== "yes") return;
    const timer = setTimeout(() => setCopied("no"), COPIED_SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);

  const copy = async (): Promise<void> => {
    const done = await copyText(text);
    if (!done && code.current) getSelection()?.selectAllChildren(code.current);
    setCopied(done ? "yes" : "by-hand");
  };

  return (
    <div class="code" dir="ltr">
      <div class="code-bar">
        <span class="code-language">{language ?? content.code}</span>
        <button type="button" class="code-copy" aria-label={copied === "no" ? content.copyLabel : undefined} onClick={() => void copy()}>
          <Icon of={copied === "yes" ? Check : Copy} size={14} />
          {{ no: content.copy, yes: content.copied, "by-hand": content.copyByHand }[copied]}
        </button>
        <span class="visually-hidden" role="status">
          {{ no: "", yes: content.copied, "by-hand": content.copyByHand }[copied]}
        </span>
      </div>
      <pre ref={code} class="code-text" role="group" aria-label={content.codeIn(language)} tabIndex={scrolls ? 0 : undefined}>
        <code>{pieces ? pieces.map(draw) : text}</code>
      </pre>
    </div>
  );
}

function draw(piece: Piece): ComponentChildren {
  return typeof piece === "string" ? piece : <span class={piece.kind}>{piece.pieces.map(draw)}</span>;
}
