import assert from "node:assert/strict";
import { test } from "node:test";
import { sections, type Listed, type Order, type Section } from "../src/models/listing.ts";

type Room = Partial<Listed> & { name: string };
const of = (room: Room): Listed => ({ favourite: false, section: "", direct: false, unread: false, last: 0, ...room });
const shown = (rooms: Room[], order: Order): [string, string][] =>
  sections(rooms, of, order).map((section: Section<Room>) => [section.kind === "own" ? section.name : section.kind, section.rooms.map(({ name }) => name).join(" ")]);

test("favourites come first, then one's own headings by name, then what has none by its kind", () => {
  const rooms = [
    { name: "Ada", direct: true },
    { name: "Ben", direct: true, section: "work" },
    { name: "Books" },
    { name: "Club", section: "Work" },
    { name: "Garden", favourite: true, section: "Home" },
    { name: "Plans", section: "work" },
    { name: "Zoo", section: "Animals" },
  ];
  assert.deepEqual(shown(rooms, "name"), [["favourites", "Garden"], ["Animals", "Zoo"], ["work", "Ben Plans"], ["Work", "Club"], ["rooms", "Books"], ["directs", "Ada"]]);
  assert.deepEqual(shown([], "name"), [["rooms", ""], ["directs", ""]], "the two kinds have their place also without a room");
});

test("the order that was asked for holds under each heading, and what is equal stays by name", () => {
  const rooms = [
    { name: "A", last: 1 },
    { name: "B", last: 3, unread: true },
    { name: "C", last: 3 },
    { name: "D", unread: true },
    { name: "E", favourite: true },
    { name: "F", favourite: true, unread: true },
  ];
  assert.deepEqual(shown(rooms, "name"), [["favourites", "E F"], ["rooms", "A B C D"], ["directs", ""]]);
  assert.deepEqual(shown(rooms, "recent"), [["favourites", "E F"], ["rooms", "B C A D"], ["directs", ""]]);
  assert.deepEqual(shown(rooms, "unread"), [["favourites", "F E"], ["rooms", "B D A C"], ["directs", ""]]);
});
