import assert from "node:assert/strict";
import { test } from "node:test";
import { Picker } from "../src/models/picker.ts";
import type { Found } from "../src/wire.ts";

const [ana, ben, cho] = ["Ana", "Ben", "Cho"].map((name) => ({ id: name, name })) as [Found, Found, Found];

/** A picker whose typing rests when the test says so, before a server that finds whom it is told to. */
function picker({ most = 8, without = [] as string[] } = {}) {
  const asked: string[] = [];
  let rest = (): void => undefined;
  let found: Found[] = [ana, ben, cho];
  const made = new Picker({
    api: {
      findPeople: (query) => {
        asked.push(query);
        return Promise.resolve({ people: found.filter((person) => person.name.toLowerCase().startsWith(query)) });
      },
    },
    most,
    without,
    after: (_delay, task) => {
      rest = task;
      return () => (rest = () => undefined);
    },
  });
  const settle = async (): Promise<void> => {
    rest();
    await new Promise(setImmediate);
  };
  return { picker: made, asked, settle, finds: (people: Found[]) => (found = people) };
}

const names = (people: readonly { name: string }[]): string[] => people.map((person) => person.name);

test("people are looked for when typing rests, and not after each letter", async () => {
  const { picker: chosen, asked, settle } = picker();
  await settle();
  chosen.type("b");
  chosen.type("be");
  await settle();
  assert.deepEqual(asked, ["", "be"]);
  assert.deepEqual(names(chosen.offered.value), ["Ben"]);
});

test("until the answer has come, only those are offered whose names have what was typed", async () => {
  const { picker: chosen, settle } = picker();
  await settle();
  chosen.type("BE");
  assert.deepEqual(names(chosen.offered.value), ["Ben"]);
  chosen.choose();
  assert.deepEqual(names(chosen.chosen.value), ["Ben"]);
});

test("whoever is chosen, or there already, is not offered", async () => {
  const { picker: chosen, settle } = picker({ without: [cho.id] });
  await settle();
  assert.deepEqual(names(chosen.offered.value), ["Ana", "Ben"]);
  chosen.move(1);
  assert.equal(chosen.choose(), true);
  await settle();
  assert.deepEqual([names(chosen.chosen.value), names(chosen.offered.value)], [["Ben"], ["Ana"]]);
  chosen.drop();
  assert.deepEqual(names(chosen.offered.value), ["Ana", "Ben"]);
});

test("no more are chosen than fit", async () => {
  const { picker: chosen, settle } = picker({ most: 1 });
  await settle();
  chosen.choose(ana);
  assert.equal(chosen.choose(ben), false);
  assert.deepEqual([chosen.isFull.value, chosen.offered.value.length], [true, 0]);
  chosen.drop(ana.id);
  assert.equal(chosen.isFull.value, false);
});

test("Enter is for the form only with nothing typed and somebody chosen, and the keys are at somebody who is offered", async () => {
  const { picker: chosen, settle, finds } = picker();
  await settle();
  assert.equal(chosen.takesEnter, true, "nobody is chosen");
  chosen.choose(ana);
  await settle();
  chosen.type("nobody");
  await settle();
  assert.deepEqual([chosen.offered.value, chosen.takesEnter, chosen.choose()], [[], true, false]);
  chosen.type("");
  await settle();
  assert.equal(chosen.takesEnter, false);
  chosen.move(1);
  assert.equal(chosen.active.value, 1);
  finds([ben]);
  chosen.type("b");
  chosen.at.value = 1;
  await settle();
  assert.deepEqual([chosen.active.value, chosen.choose(), names(chosen.chosen.value)], [0, true, ["Ana", "Ben"]]);
});
