/**
 * How the host of a link is shown: as it was written where it cannot be read as another one, else as the ASCII that the
 * browser asks for (`xn--…`). The link itself is the same either way.
 *
 * Each label must be harmless: lower case, nothing that the browser maps to something else, letters of one script that
 * we know (Han with kana, Bopomofo or Hangul counts as one), digits and hyphens; and not of letters alone that look like
 * Latin ones (or like punctuation). That is a simple form of what Chromium does; where it is stricter, a harmless host
 * is shown as `xn--…`, and no harmful one as it was written. Scripts written from right to left are not among ours,
 * because they change the order of what stands around them. A Latin letter with an accent passes, as it does there for
 * hosts that are not famous: it is seen.
 */

type Script = {
  letters: RegExp;
  /** Letters of it that look like Latin ones, or like punctuation; accents count as if they were not there. */
  lookalikes?: RegExp;
};

const SCRIPTS: readonly Script[] = [
  // Without the dotless i, kra and thorn.
  { letters: /^[a-z0-9\-\u00df-\u00f6\u00f8-\u00fd\u00ff-\u0130\u0132-\u0137\u0139-\u017e]+$/ },
  { letters: /^[0-9\-ά-ώ]+$/u, lookalikes: /^[0-9\-αγηικνορτυχω]+$/u },
  { letters: /^[0-9\-а-џґ]+$/u, lookalikes: /^[0-9\-агеіјопрсухъыьюѕ]+$/u },
  {
    letters: /^[0-9\-\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}ー]+$/u,
    lookalikes: /^[0-9\-一丨丶丿二三十口工卜〇ノソンニハロヘへトー]+$/u,
  },
  { letters: /^[0-9\-\p{sc=Han}\p{sc=Bopomofo}]+$/u, lookalikes: /^[0-9\-一丨丶丿二三十口工卜〇ㄧㄚㄥㄟㄏㄙ]+$/u },
  { letters: /^[0-9\-\p{sc=Han}가-힣]+$/u, lookalikes: /^[0-9\-一丨丶丿二三十口工卜〇이]+$/u },
  { letters: /^[0-9\-\p{sc=Thai}]+$/u, lookalikes: /^[0-9\-ทนบพรหเแดลปฟม]+$/u },
  ...["Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Tamil", "Telugu", "Kannada"].map((script) => ({
    letters: new RegExp(`^[0-9\\-\\p{sc=${script}}]+$`, "u"),
  })),
];

/** The host to show, for one that was written so and that the browser knows as `ascii`. */
export function shownHost(written: string, ascii: string): string {
  if (written.toLowerCase() === ascii) return written;
  return /[^\p{ASCII}]/u.test(written) && written.split(".").every(isHarmless) ? written : ascii;
}

function isHarmless(label: string): boolean {
  if (label !== label.toLowerCase().normalize("NFKC") || !/^[\p{L}\p{M}0-9-]*$/u.test(label)) return false;
  if (/^[a-z0-9-]*$/.test(label)) return true;
  const bare = label.normalize("NFD").replace(/\p{M}/gu, "");
  return SCRIPTS.some(({ letters, lookalikes }) => letters.test(label) && !lookalikes?.test(bare));
}
