import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError, problem } from "../src/api.ts";
import { announcement } from "../src/models/announcer.ts";
import { AVATAR_COLOURS, colourOf, initials } from "../src/models/avatars.ts";
import { deviceName } from "../src/models/device.ts";
import { Presence } from "../src/models/presence.ts";
import { describe, formProblems } from "../src/models/problems.ts";
import { matching } from "../src/models/search.ts";
import { Settings } from "../src/models/settings.ts";
import { dateField, dayLabel, daysBefore, fromDateField } from "../src/models/times.ts";
import { Typing } from "../src/models/typing.ts";
import { isolated, names, plural, strings } from "../src/strings.ts";
import { ANA, BEN } from "./world.ts";

const person = (name: string) => ({ id: name, name });

test("counts take the right form", () => {
  const forms = { one: "# apple", other: "# apples" };
  assert.deepEqual([0, 1, 2, 1_234].map((count) => plural(count, forms)), ["0 apples", "1 apple", "2 apples", "1,234 apples"]);
});

test("many names are shortened", () => {
  assert.equal(names([person("Ana")]), "Ana");
  assert.equal(names(["Ana", "Ben"].map(person)), "Ana and Ben");
  assert.equal(names(["Ana", "Ben", "Cho", "Ida", "Kai"].map(person)), "Ana, Ben, and 3 others");
});

test("a name that somebody else has too, or a similar one, is told apart in sentences as well", () => {
  const anna = { id: "0199-1a2b", name: "Anna", same_name: true };
  assert.equal(strings.room.notes.joined([anna, BEN], null), "Anna #1a2b and Ben joined");
  assert.equal(strings.room.typing([anna]), "Anna #1a2b is typing…");
  assert.equal(strings.entry.inviteTitle(anna), "Anna #1a2b invited you");
  assert.equal(strings.entry.inviteTitle(BEN), "Ben invited you");
});

test("a name of another direction, or with marks of one, does not turn the words around it (S49)", () => {
  assert.equal(isolated("Ana"), "Ana");
  assert.equal(isolated("דנה"), "\u2068דנה\u2069");
  assert.equal(isolated("Ana\u2069\u202e"), "\u2068Ana\u2069");
  assert.equal(names(["דנה", "Ben"].map(person)), "\u2068דנה\u2069 and Ben");
  assert.equal(strings.room.notes.joined([person("\u202eana")], null), "\u2068ana\u2069 joined");
});

test("who brought somebody in, or took them out, is told with them", () => {
  assert.equal(strings.room.notes.added([ANA, person("Cho")], BEN), "Ben added Ana and Cho");
  assert.equal(strings.room.notes.removed([ANA], BEN), "Ben removed Ana");
  assert.equal(strings.room.notes.promoted([ANA], null), "Ana owns this room now");
});

test("typing is told in words that fit the number", () => {
  assert.equal(strings.room.typing([ANA]), "Ana is typing…");
  assert.equal(strings.room.typing([ANA, BEN]), "Ana and Ben are typing…");
  assert.equal(strings.room.typing(["a", "b", "c", "d"].map(person)), "Several people are typing…");
});

test("a screen reader hears one message in full and a burst as a number", () => {
  const heard = { author: "Ana", body: "hello" };
  assert.equal(announcement([heard]), "Ana: hello");
  assert.equal(announcement([heard, heard, heard]), "3 new messages");
});

test("a typing notice fades after five seconds unless renewed, and ends with the message", () => {
  const typing = new Typing();
  typing.started(BEN, 0);
  typing.started(BEN, 3_000);
  assert.deepEqual(typing.people(7_999), [BEN]);
  assert.equal(typing.fadesIn(7_000), 1_000);
  assert.deepEqual(typing.people(8_000), []);
  typing.started(BEN, 9_000);
  typing.stopped(BEN.id);
  assert.deepEqual(typing.people(9_001), []);
});

test("a person with two browsers is here once, until the last one is gone", () => {
  const presence = new Presence();
  presence.reset([{ client: "1", user: BEN.id, name: "Ben" }]);
  presence.joined({ client: "2", user: BEN.id, name: "Ben" });
  presence.joined({ client: "3", user: ANA.id, name: "Ana" });
  assert.deepEqual(presence.people().map(({ name }) => name), ["Ana", "Ben"]);
  presence.left("1");
  assert.equal(presence.people().length, 2);
  presence.left("2");
  assert.deepEqual(presence.people().map(({ name }) => name), ["Ana"]);
});

test("a problem of the server stands at its field, and otherwise above the button", () => {
  const invalid = problem(422, { code: "invalid", errors: [{ field: "email", detail: "Use another address." }] });
  assert.deepEqual(formProblems(invalid, ["email"]), { fields: { email: "Use another address." }, form: null });
  const wrong = problem(401, { code: "sign_in_failed" });
  assert.deepEqual(formProblems(wrong, ["email"]), { fields: {}, form: strings.errors.signInFailed });
  assert.equal(formProblems(problem(422, { code: "password_common" }), []).fields.password, strings.errors.passwordCommon);
});

test("where the server says how long to wait, the page says so", () => {
  const detail = "Too many tries. Wait 1 s and try again.";
  assert.equal(describe(problem(429, { code: "too_many_requests", detail })), detail);
  assert.deepEqual(formProblems(problem(429, { code: "too_many_requests", detail }), ["name"]), { fields: {}, form: detail });
});

test("a server that is there and cannot is not taken for one that does not answer", () => {
  const detail = "The server is busy. Try again in a moment.";
  assert.equal(describe(problem(503, { code: "busy", detail })), detail);
  assert.equal(describe(problem(507, { code: "storage_full", detail: "The disk is full." })), "The disk is full.");
  for (const status of [502, 503, 504]) assert.equal(describe(problem(status, "<html>")), strings.errors.unreachable, "said by a proxy");
});

test("no answer, too many attempts and nonsense are told in words too", () => {
  assert.equal(describe(new ApiError(0, "unreachable", "")), strings.errors.unreachable);
  assert.equal(describe(problem(429, null)), strings.errors.tooMany);
  assert.equal(describe(problem(429, { title: "Too Many Requests" })), strings.errors.tooMany);
  assert.equal(describe(problem(500, "<html>")), strings.errors.unknown);
});

test("initials and colour belong to the person", () => {
  assert.deepEqual(["Ana Moreno", "ben", "Åsa von Öst", "🦊 Fox", ""].map(initials), ["AM", "B", "ÅÖ", "F", "?"]);
  // By what a reader takes for one sign: a decomposed letter, a family of four.
  assert.deepEqual(["a\u030Asa (Oslo)", "👨‍👩‍👧‍👦 🦊", "42 rooms", "- Kai"].map(initials), ["A\u030AO", "👨‍👩‍👧‍👦", "4R", "K"]);
  assert.equal(colourOf(ANA.id), colourOf(ANA.id));
  const colours = new Set(Array.from({ length: 200 }, (_, i) => colourOf(`0199-${i}`)));
  assert.equal(colours.size, AVATAR_COLOURS);
});

test("days are called by what they are to the reader", () => {
  const now = new Date(2026, 10, 20, 12).getTime();
  assert.equal(dayLabel(now - 3_600_000, now), "Today");
  assert.equal(dayLabel(now - 86_400_000, now), "Yesterday");
  assert.match(dayLabel(now - 3 * 86_400_000, now), /Tuesday/);
  assert.match(dayLabel(new Date(2024, 1, 1).getTime(), now), /2024/);
});

test("a day is written as a field for dates has it, and read back as its beginning", () => {
  const evening = new Date(2026, 2, 1, 23, 59).getTime();
  assert.equal(dateField(evening), "2026-03-01");
  assert.equal(fromDateField("2026-03-01"), new Date(2026, 2, 1).getTime());
  assert.deepEqual(["", "2026-02-30", "2026-13-01", "tomorrow"].map(fromDateField), [null, null, null, null]);
  assert.equal(dateField(daysBefore(evening, 1)), "2026-02-28");
  assert.equal(dateField(daysBefore(evening, 365)), "2025-03-01");
});

test("rooms are found by the letters of their name, accents aside", () => {
  const room = (name: string, member = true) => ({ id: name, name, topic: null, member, members: 1, offset: 0, epoch: "", created: 0 });
  const rooms = [room("Kitchen"), room("Old kitchen"), room("Kitchen repairs", false), room("Café")];
  assert.deepEqual(matching(rooms, "kit").map(({ name }) => name), ["Kitchen", "Kitchen repairs", "Old kitchen"]);
  assert.deepEqual(matching(rooms, "cafe").map(({ name }) => name), ["Café"]);
  assert.equal(matching(rooms, " ").length, 4);
});

test("devices have names a person recognises", () => {
  assert.equal(deviceName("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"), "Firefox on Linux");
  assert.equal(deviceName("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605 Version/17 Mobile Safari/604"), "Safari on iPhone");
  assert.equal(deviceName("curl/8"), null);
});

test("settings are kept per person, and a browser without storage does without", () => {
  const kept = new Map<string, string>();
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  };
  const ana = new Settings("ana", storage);
  ana.theme = "dark";
  ana.saveDraft("r", "half a sen");
  assert.deepEqual([new Settings("ana", storage).theme, ana.draft("r")], ["dark", "half a sen"]);
  assert.deepEqual([new Settings("ben", storage).theme, new Settings("ben", storage).draft("r")], ["system", ""]);
  assert.equal(new Settings("ana", null).theme, "system");
  const answered = { id: "m1", number: 1, author: { id: "ben", name: "Ben" }, text: "so" };
  ana.saveAnswered("r", answered);
  assert.deepEqual([new Settings("ana", storage).answered("r"), new Settings("ben", storage).answered("r")], [answered, null]);
  for (const odd of ["{", "null", "7", '{"id":"m1"}']) {
    kept.set("tidings.ana.answers.r", odd);
    assert.equal(ana.answered("r"), null, odd);
  }
  ana.saveAnswered("r", null);
  assert.equal(kept.has("tidings.ana.answers.r"), false);
});
