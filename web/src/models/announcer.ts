/** What a screen reader is told about new messages: the words of a single one, the number of many. */
import { strings } from "../strings.ts";

export type Heard = { author: string; body: string };

export function announcement(heard: readonly Heard[]): string {
  const [only] = heard;
  if (!only) return "";
  return heard.length === 1
    ? strings.announce.message(only.author, only.body)
    : strings.announce.messages(heard.length);
}
