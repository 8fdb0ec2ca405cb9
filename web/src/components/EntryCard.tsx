import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Logo } from "./Logo.tsx";

type Props = { title: string; lead?: string | undefined; notice?: string | null | undefined; children?: ComponentChildren };

/** The one centred card of everything before the chat. */
export function EntryCard({ title, lead, notice, children }: Props) {
  useEffect(() => {
    document.title = title;
  }, [title]);

  return (
    <main class="entry">
      <section class="card" aria-labelledby="entry-title">
        <Logo />
        <h1 id="entry-title">{title}</h1>
        {lead && <p class="lead">{lead}</p>}
        {notice && (
          <p class="notice" role="status">
            {notice}
          </p>
        )}
        {children}
      </section>
    </main>
  );
}
