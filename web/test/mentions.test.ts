/** Names in a text that is being written: where they stay, what is sent for them, and who is offered. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HERE, labelsIn, labelsOf, likelyFirst, linked, mentionsPerson, moved, nameBefore, namesFor, personToken, ROOM, shownSource, sourceOf, withName, writtenOf, type Written } from "../src/models/mentions.ts";
import type { Block } from "../src/wire.ts";

const ANA = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
const OTHER_ANA = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c";
const name = (label: string, id: string) => ({ label, token: personToken(id) });
const plain = (text: string): Written => ({ text, mentions: [] });
const nobody = (): null => null;

test("two people of the same name stay two, whatever is written around them", () => {
  let written = withName(plain("@Ana B and @Ana B"), 0, name("@Ana B", ANA));
  written = withName(written, 11, name("@Ana B", OTHER_ANA));
  assert.equal(sourceOf(written), `<@${ANA}> and <@${OTHER_ANA}>`);
  written = moved(moved(written, "so @Ana B and @Ana B"), "so @Ana B and @Ana B!");
  assert.equal(sourceOf(written), `so <@${ANA}> and <@${OTHER_ANA}>!`);
  written = moved(written, "so @Ana B or @Ana B!");
  assert.equal(sourceOf(written), `so <@${ANA}> or <@${OTHER_ANA}>!`);
  written = moved(written, "so @Ana or @Ana B!");
  assert.equal(sourceOf(written), `so @Ana or <@${OTHER_ANA}>!`, "what was changed is plain text");
  assert.equal(sourceOf(moved(written, "")), "");
});

test("what was sent comes back as it was written, and code that is not known stays code", () => {
  const source = `<@${ANA}>, <@here> \`<@${OTHER_ANA}>\``;
  const content: Block[] = [
    {
      type: "p",
      content: [
        { type: "strong", content: [{ type: "mention", person: ANA, text: "@Ana B" }] },
        { type: "mention", everybody: "here", text: "@here" },
      ],
    },
  ];
  const labels = labelsIn(content, nobody);
  const written = writtenOf(source, labels);
  assert.equal(written.text, `@Ana B, @here \`<@${OTHER_ANA}>\``);
  assert.equal(sourceOf(written), source);
  assert.equal(shownSource(source, labelsOf(written)), written.text);
  assert.equal(mentionsPerson(content, ANA), "name");
  assert.equal(mentionsPerson(content, OTHER_ANA), "here");
  assert.equal(mentionsPerson(undefined, ANA), null);
});

test("a room has the name that this person knows", () => {
  const content: Block[] = [{ type: "p", content: [{ type: "room", id: ANA, text: "#…" }] }];
  assert.deepEqual([...labelsIn(content, () => "Plans")], [[`<#${ANA}>`, "#Plans"]]);
  assert.equal(labelsIn(content, nobody).size, 0);
});

test("a name that was written out means whom it can only mean", () => {
  const names = [name("@Ana", ANA), name("@Ana B", OTHER_ANA), HERE, ROOM];
  const sent = (text: string): string => sourceOf(linked(plain(text), names));
  assert.equal(sent("@ana: hello, @Ana B"), `<@${ANA}>: hello, <@${OTHER_ANA}>`);
  assert.equal(sent("@Anaïs, mail@ana and `@Ana`"), "@Anaïs, mail@ana and `@Ana`");
  assert.equal(sent("@room tea"), "<@room> tea");
  const twice = [name("@Ana", ANA), name("@Ana", OTHER_ANA)];
  assert.equal(sourceOf(linked(plain("@Ana"), twice)), "@Ana", "either of two is nobody");
});

test("an @ or a # at the beginning of a word asks for a name", () => {
  const at = (text: string) => {
    const found = nameBefore(plain(text), text.length);
    return found && [found.kind, found.from, found.query];
  };
  assert.deepEqual(at("hello @"), ["person", 6, ""]);
  assert.deepEqual(at("@ana b"), ["person", 0, "ana b"]);
  assert.deepEqual(at("see #pl"), ["room", 4, "pl"]);
  for (const text of ["mail@ana", "# heading", "#12", "`@ana", "@ana\n", "a@", "@ "]) assert.equal(at(text), null, text);
  const chosen = withName(plain("@Ana "), 0, name("@Ana", ANA));
  assert.equal(nameBefore(chosen, 5), null, "it has been chosen");
});

test("who wrote last is offered first, and names are found without case and accents", () => {
  const people = [{ id: "1", name: "Zoë" }, { id: "2", name: "Ana" }, { id: "3", name: "Bo Ana" }, { id: "me", name: "Abe" }];
  assert.deepEqual(likelyFirst(people, ["3"], "me").map(({ id }) => id), ["3", "2", "1", "me"]);
  assert.deepEqual(namesFor(people, "ana").map(({ id }) => id), ["2", "3"]);
  assert.deepEqual(namesFor(people, "ZOE").map(({ id }) => id), ["1"]);
  assert.deepEqual(namesFor(people, "").length, 4);
});
