import type { ComponentChildren } from "preact";
import { linkOf } from "../models/links.ts";
import { textOf } from "../models/content.ts";
import { strings } from "../strings.ts";
import type { Block, Inline, LinkMark, ListItem } from "../wire.ts";
import { CodeBlock } from "./CodeBlock.tsx";

/** A message's tree as elements. Everything in it is text or an address that was looked at; nothing is HTML (S48). */
export function Content({ blocks }: { blocks: readonly Block[] }) {
  return <>{blocks.map(drawBlock)}</>;
}

function drawBlock(block: Block): ComponentChildren {
  switch (block.type) {
    case "p":
      return (
        <p class="content-lines" dir="auto">
          {block.content.map(drawInline)}
        </p>
      );
    case "heading":
      // No heading of the page: those who go from heading to heading look for rooms and panels.
      return (
        <p class={block.level < 3 ? "content-lines content-heading content-heading-large" : "content-lines content-heading"} dir="auto">
          <strong>{block.content.map(drawInline)}</strong>
        </p>
      );
    case "quote":
      return <blockquote class="content-quote">{block.content.map(drawBlock)}</blockquote>;
    case "code_block":
      return <CodeBlock language={block.language} text={block.text} />;
    case "list":
      return <ul class="content-list">{block.items.map(drawItem)}</ul>;
    case "ordered_list":
      return <ol class="content-list">{block.items.map(drawItem)}</ol>;
    case "rule":
      return <hr class="content-rule" />;
    default: {
      // Of a later version of the server.
      const { content, text } = block as { content?: Block[]; text?: string };
      return text ?? content?.map(drawBlock);
    }
  }
}

function drawItem({ number, content }: ListItem): ComponentChildren {
  return (
    <li value={number} dir="auto">
      {content.map(drawBlock)}
    </li>
  );
}

function drawInline(inline: Inline): ComponentChildren {
  if (typeof inline === "string") return inline;
  switch (inline.type) {
    case "em":
      return <em>{inline.content.map(drawInline)}</em>;
    case "strong":
      return <strong>{inline.content.map(drawInline)}</strong>;
    case "strike":
      return <s>{inline.content.map(drawInline)}</s>;
    case "code":
      return (
        <code class="content-code" dir="ltr">
          {inline.text}
        </code>
      );
    case "link":
      return drawLink(inline);
    default: {
      const { content, text } = inline as { content?: Inline[]; text?: string };
      return text ?? content?.map(drawInline);
    }
  }
}

// Words that lead somewhere say where (S49): they may read as an address themselves, in letters that only look like it.
function drawLink({ href, title, content }: LinkMark): ComponentChildren {
  const link = linkOf(href, content);
  if (!link) return content ? textOf(content) : href;
  const attributes = { href: link.href, title, target: "_blank", rel: "noopener noreferrer nofollow" };
  if ("text" in link) {
    return (
      <a dir="ltr" {...attributes}>
        {link.text}
      </a>
    );
  }
  return (
    <>
      <a class="content-link" {...attributes}>
        {content?.map(drawInline)}
      </a>{" "}
      <span class="content-host" dir="ltr">
        {strings.content.leadsTo(link.to)}
      </span>
    </>
  );
}
