import type { ComponentChildren } from "preact";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { linkOf } from "../models/links.ts";
import { textOf } from "../models/content.ts";
import { strings } from "../strings.ts";
import type { Block, Inline, LinkMark, ListItem, MentionMark } from "../wire.ts";
import { CodeBlock } from "./CodeBlock.tsx";
import { RoomLink } from "./RoomLink.tsx";

/** A message's tree as elements. Everything in it is text or an address that was looked at; nothing is HTML (S48). */
export function Content({ blocks, context }: { blocks: readonly Block[]; context: ContentContext }) {
  return <>{blocks.map((block) => drawBlock(block, context))}</>;
}

/** Who reads, and how they get to a room. */
export type ContentContext = { app: App; chat: Chat };

function drawBlock(block: Block, context: ContentContext): ComponentChildren {
  switch (block.type) {
    case "p":
      return (
        <p class="content-lines" dir="auto">
          {block.content.map((part) => drawInline(part, context))}
        </p>
      );
    case "heading":
      // No heading of the page: those who go from heading to heading look for rooms and panels.
      return (
        <p class={block.level < 3 ? "content-lines content-heading content-heading-large" : "content-lines content-heading"} dir="auto">
          <strong>{block.content.map((part) => drawInline(part, context))}</strong>
        </p>
      );
    case "quote":
      return <blockquote class="content-quote">{block.content.map((part) => drawBlock(part, context))}</blockquote>;
    case "code_block":
      return <CodeBlock language={block.language} text={block.text} />;
    case "list":
      return <ul class="content-list">{block.items.map((item) => drawItem(item, context))}</ul>;
    case "ordered_list":
      return <ol class="content-list">{block.items.map((item) => drawItem(item, context))}</ol>;
    case "rule":
      return <hr class="content-rule" />;
    default: {
      // Of a later version of the server.
      const { content, text } = block as { content?: Block[]; text?: string };
      return text ?? content?.map((part) => drawBlock(part, context));
    }
  }
}

function drawItem({ number, content }: ListItem, context: ContentContext): ComponentChildren {
  return (
    <li value={number} dir="auto">
      {content.map((part) => drawBlock(part, context))}
    </li>
  );
}

function drawInline(inline: Inline, context: ContentContext): ComponentChildren {
  if (typeof inline === "string") return inline;
  switch (inline.type) {
    case "em":
      return <em>{inline.content.map((part) => drawInline(part, context))}</em>;
    case "strong":
      return <strong>{inline.content.map((part) => drawInline(part, context))}</strong>;
    case "strike":
      return <s>{inline.content.map((part) => drawInline(part, context))}</s>;
    case "code":
      return (
        <code class="content-code" dir="ltr">
          {inline.text}
        </code>
      );
    case "link":
      return drawLink(inline, context);
    case "mention":
      return <PersonMention mark={inline} context={context} />;
    case "room":
      return <RoomMention id={inline.id} context={context} />;
    default: {
      const { content, text } = inline as { content?: Inline[]; text?: string };
      return text ?? content?.map((part) => drawInline(part, context));
    }
  }
}

// Words that lead somewhere say where (S49): they may read as an address themselves, in letters that only look like it.
function drawLink({ href, title, content }: LinkMark, context: ContentContext): ComponentChildren {
  const link = linkOf(href, content);
  if (!link) return content ? textOf(content, context.chat.roomLabel) : href;
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
        {content?.map((part) => drawInline(part, context))}
      </a>{" "}
      <span class="content-host" dir="ltr">
        {strings.content.leadsTo(link.to)}
      </span>
    </>
  );
}

/** One's own stand out. */
function PersonMention({ mark: { person, everybody, text }, context: { chat } }: { mark: MentionMark; context: ContentContext }) {
  const isMine = person === chat.me.id || everybody !== undefined;
  return (
    <span class={isMine ? "mention mention-me" : "mention"} data-testid="mention">
      <bdi>{text}</bdi>
    </span>
  );
}

/** By the name that it has in the list of this person's rooms; others have none, and lead nowhere. */
function RoomMention({ id, context: { app, chat } }: { id: string; context: ContentContext }) {
  const name = chat.roomName(id);
  if (name === null) return <span class="mention">{strings.mentions.unknownRoom}</span>;
  return (
    <RoomLink app={app} room={id} class="mention mention-room">
      <bdi>#{name}</bdi>
    </RoomLink>
  );
}
