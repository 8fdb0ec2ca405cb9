/** What a message says, as text: without its marks, and whether it is nothing but emoji. */
import { ANSWERED_CHARS_MAX, EMOJI_SHOWN_BIG_MAX } from "../limits.ts";
import type { Answered, Block, Inline, Message } from "../wire.ts";

/** The name of a room that is mentioned, with its `#`, for this person. */
export type RoomName = (id: string) => string;
const ANY_ROOM: RoomName = () => "#…";

/** The text without marks, for whoever hears it or reads it where marks have no place. */
export function plainText(blocks: readonly Block[], roomName: RoomName = ANY_ROOM): string {
  return blocks.map((block) => textOfBlock(block, roomName)).filter((text) => text !== "").join("\n");
}

/** How a message begins, in one line without marks: enough to recognise it by. */
export function words(message: Pick<Message, "body" | "content">, roomName: RoomName = ANY_ROOM): string {
  const text = message.content ? plainText(message.content, roomName) : (message.body ?? "");
  return Array.from(text.slice(0, 4 * ANSWERED_CHARS_MAX).replace(/\s+/g, " ").trim()).slice(0, ANSWERED_CHARS_MAX).join("");
}

/** How a message begins, with the names of rooms that this person knows. */
export function beginning({ text = "", rooms = [] }: Pick<Answered, "text" | "rooms">, roomName: RoomName): string {
  let at = 0;
  return text.replace(/#…/g, (any) => {
    const room = rooms[at++];
    return room === undefined ? any : roomName(room);
  });
}

function textOfBlock(block: Block, roomName: RoomName): string {
  switch (block.type) {
    case "p":
    case "heading":
      return textOf(block.content, roomName);
    case "quote":
      return plainText(block.content, roomName);
    case "code_block":
      return block.text;
    case "list":
    case "ordered_list":
      return block.items.map(({ number, content }) => `${number === undefined ? "" : `${number}. `}${plainText(content, roomName)}`).join("\n");
    case "rule":
      return "";
    default: {
      // Of a later version of the server.
      const { content, text } = block as { content?: Block[]; text?: string };
      return text ?? (content ? plainText(content, roomName) : "");
    }
  }
}

export function textOf(inlines: readonly Inline[], roomName: RoomName = ANY_ROOM): string {
  return inlines.map((inline) => textOfInline(inline, roomName)).join("");
}

function textOfInline(inline: Inline, roomName: RoomName): string {
  if (typeof inline === "string") return inline;
  if (inline.type === "code" || inline.type === "mention") return inline.text;
  if (inline.type === "room") return roomName(inline.id);
  if (inline.type === "link") return inline.content ? textOf(inline.content, roomName) : inline.href;
  const { content, text } = inline as { content?: Inline[]; text?: string };
  return text ?? (content ? textOf(content, roomName) : "");
}

// One emoji: shown as a picture by itself or by U+FE0F, with a tone of skin, joined with others; a flag; a keycap.
const PICTURE = String.raw`(?:\p{Emoji_Presentation}|\p{Extended_Pictographic}\uFE0F)\p{Emoji_Modifier}?[\u{E0020}-\u{E007F}]*`;
const EMOJI = String.raw`(?:\p{RI}\p{RI}|[0-9#*]\uFE0F?\u20E3|${PICTURE}(?:\u200D(?:${PICTURE}|\p{Extended_Pictographic}))*)`;
const ONLY_EMOJI = new RegExp(String.raw`^\s*(?:${EMOJI}\s*){1,${EMOJI_SHOWN_BIG_MAX}}$`, "u");
/** UTF-16 units of the longest emoji, at most: a longer text is not looked at. */
const EMOJI_UNITS_MAX = 40;

/** Whether a text is a few emoji and nothing else. */
export function isEmojiOnly(text: string): boolean {
  return text.length <= EMOJI_SHOWN_BIG_MAX * EMOJI_UNITS_MAX && ONLY_EMOJI.test(text);
}
