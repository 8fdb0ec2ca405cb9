// What the page needs of the emoji data, cut down when it is bundled: groups of [emoji, name, short names, other words].
import { readFile } from "node:fs/promises";

/** Emoji of a later version are drawn as boxes on many machines still. */
const VERSION_MAX = 15.1;

/** In the order of the picker; skin tones and hair by themselves are left out. */
const GROUPS = [0, 1, 3, 4, 5, 6, 7, 8, 9];

/** In the one full spelling, which is the server's: what is a picture by itself needs no variation selector. */
const full = (emoji) => emoji.replace(/(\p{Emoji_Presentation})\uFE0F/gu, "$1");

export const emojiData = {
  name: "emoji-data",
  setup(build) {
    build.onLoad({ filter: /emojibase-data[/\\]en[/\\]data\.json$/ }, async ({ path }) => {
      const read = async (file) => JSON.parse(await readFile(file, "utf8"));
      const [all, shortcodes] = [await read(path), await read(path.replace(/data\.json$/, "shortcodes/github.json"))];
      const groups = GROUPS.map((group) =>
        all
          .filter((one) => one.group === group && one.version <= VERSION_MAX)
          .sort((a, b) => a.order - b.order)
          .map(({ emoji, label, hexcode, tags = [] }) => [full(emoji), label, [shortcodes[hexcode] ?? []].flat(), tags.join(" ")]),
      );
      return { contents: JSON.stringify(groups), loader: "json" };
    });
  },
};
