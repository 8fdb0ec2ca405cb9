/** All emoji with their names, loaded when somebody first looks for one. */
import data from "emojibase-data/en/data.json";

/** The emoji, what it is, its short names (as in `:tea:`), and other words that it is found by. */
export type EmojiEntry = readonly [emoji: string, name: string, shortcodes: readonly string[], words: string];

/** In the order of `strings.emoji.groups`. */
export const groups = data as unknown as readonly (readonly EmojiEntry[])[];
