// How it looks: on a phone's width, in the dark, and on the page that the README shows.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Ui, profile, screenshot } from '../harness/browser.mjs';
import { Frames } from '../harness/frames.mjs';
import { Person, uuidv7 } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

let server, ana, garden;
before(async () => {
  server = await Server.start({ args: ['--server-name', 'Harbour Street'] });
  ana = await Person.setUp(server, { name: 'Ana Moreno' });
  const [ben, cho, ida] = [
    await Person.invited(ana, { name: 'Ben Okafor', email: 'ben@example.org' }),
    await Person.invited(ana, { name: 'Cho Eun', email: 'cho@example.org' }),
    await Person.invited(ana, { name: 'Ida Lind', email: 'ida@example.org' }),
  ];
  for (const [name, topic] of [['Garden', 'Who waters this week?'], ['Kitchen', 'Fridge, rota and cake'], ['Repairs', '']]) {
    const room = await ana.createRoom(name, { topic });
    if (name === 'Garden') garden = room;
    await ben.put(`/v1/rooms/${room.id}/members/me`, {});
    await ben.say(room.id, `First thing about the ${name.toLowerCase()}: everybody is welcome here.`);
  }
  for (const [who, text] of [
    [ana, 'Good morning everybody! The new server is the grey box under the stairs.'],
    [ana, 'It has been up for a whole minute already.'],
    [ben, 'Morning. I can see you, and my phone can too.'],
    [cho, 'How do we get the neighbours in?'],
    [ana, 'Room menu → Invite people. There is a link, and a code to scan in the hallway.'],
    [ida, 'Joined by the code. No app, no e-mail, that was quick.'],
    [ida, 'The plan for Saturday is at https://example.org/harbour/saturday'],
    [ben, 'I bring the ladder. Could somebody bring:\n· a long brush\n· two buckets\n· cake'],
    [cho, 'Cake is settled. 🍰'],
  ]) assert.equal((await who.say(ana.room.id, text)).status, 201);
  // What the list of rooms, a thread and reactions look like.
  const general = `/v1/rooms/${ana.room.id}/messages`;
  const { messages } = (await ana.get(general)).json;
  const at = (text) => messages.find((message) => message.body.startsWith(text)).id;
  const done = (answer) => assert.ok(answer.status < 300, answer.text);
  for (const [who, text] of [[cho, 'I have two buckets.'], [ida, 'The long brush is mine.']]) done(await who.post(general, { client_id: uuidv7(), body: text, thread: at('I bring') }));
  for (const who of [ana, ben, ida]) done(await who.put(`${general}/${at('Joined')}/reactions/${encodeURIComponent('🎉')}`, {}));
  const { json: direct } = await ben.post('/v1/direct', { people: [ana.id] });
  done(await ben.say(direct.id, 'Lunch at the harbour?'));
  done(await ben.say(garden.id, `<@${ana.id}> the beans are up!`));
  done(await ana.patch(`/v1/rooms/${garden.id}/preferences`, { favourite: true }));
  for (const person of [ben, cho]) {
    const socket = await Frames.person(person);
    await socket.subscribe(`room:${ana.room.id}`);
  }
});
after(() => server.kill());

async function open(t, options) {
  const page = await profile(t, options);
  const ui = new Ui(page);
  await page.goto(server.url);
  await ui.signIn(ana);
  await ui.composer.waitFor();
  await page.goto(`${server.url}/rooms/${ana.room.id}`);
  await ui.room('General').waitFor();
  await ui.sees('Cake is settled. 🍰');
  await until('three are here', async () => (await ui.here.innerText()) === '3');
  return { page, ui };
}

/** Relative luminance contrast of an element's text on what is behind it (WCAG 2.2, 1.4.3). */
function contrast(locator) {
  return locator.first().evaluate((element) => {
    const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (colour) => {
      paint.clearRect(0, 0, 1, 1);
      paint.fillStyle = colour;
      paint.fillRect(0, 0, 1, 1);
      return [...paint.getImageData(0, 0, 1, 1).data];
    };
    let behind = element;
    while (behind && rgba(getComputedStyle(behind).backgroundColor)[3] < 255) behind = behind.parentElement;
    const luminance = (colour) => {
      const [r, g, b] = rgba(colour).map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const [text, ground] = [luminance(getComputedStyle(element).color), luminance(behind ? getComputedStyle(behind).backgroundColor : 'white')];
    return { ratio: (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05), ground };
  });
}

test('the page that the README shows', async (t) => {
  const { page, ui } = await open(t, { viewport: { width: 1280, height: 760 }, deviceScaleFactor: 1 });
  await page.getByRole('button', { name: /People/ }).first().click();
  await page.getByTestId('people-away').getByText('Ida Lind').waitFor();
  await ui.composer.click();
  await screenshot(page, 'room');
  const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
  if (process.env.SCREENSHOT) {
    mkdirSync(docs, { recursive: true });
    await page.screenshot({ path: `${docs}screenshot.png` });
  }
});

for (const scheme of ['light', 'dark']) {
  test(`${scheme}: the system's choice is followed, and text has a contrast of at least 4.5`, async (t) => {
    const { page, ui } = await open(t, { colorScheme: scheme });
    await screenshot(page, scheme);
    for (const [what, locator] of [
      ['a message', ui.bodies], ['an author', page.locator('.message-author')], ['a time', page.locator('.message-header time')], ['a day', page.locator('.day time')],
      ['a note', page.locator('.note')], ['a room in the list', ui.roomLink('Garden')], ['a link', ui.log.getByRole('link')], ['the composer', ui.composer],
    ]) {
      const { ratio, ground } = await contrast(locator);
      assert.ok(ratio >= 4.5, `${what}: ${ratio.toFixed(2)}`);
      assert.equal(ground > 0.5, scheme === 'light', `${what} on ${ground.toFixed(2)}`);
    }
  });
}

test('the theme can be chosen by hand and is kept', async (t) => {
  const { page, ui } = await open(t, { colorScheme: 'light' });
  await ui.choose('Ana Moreno your menu', 'Dark');
  await until('it is dark', async () => (await contrast(ui.bodies)).ground < 0.2);
  await page.reload();
  await ui.room('General').waitFor();
  await ui.sees('Cake is settled. 🍰');
  assert.ok((await contrast(ui.bodies)).ground < 0.2);
});

for (const [width, height] of [[360, 740], [320, 568]]) {
  test(`at ${width} px it is one column: read, write and change rooms without scrolling sideways`, async (t) => {
    const { page, ui } = await open(t, { viewport: { width, height }, hasTouch: true, isMobile: true });
    const sideways = () => page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    assert.equal(await sideways(), 0);
    await ui.say(`from ${width} pixels`);
    await ui.sees(`from ${width} pixels`);
    await screenshot(page, `phone-${width}`);
    await page.getByRole('button', { name: /^Rooms/ }).click();
    await ui.roomLink('Kitchen').waitFor();
    await screenshot(page, `phone-${width}-rooms`);
    await ui.roomLink('Kitchen').click();
    await ui.room('Kitchen').waitFor();
    await ui.sees('First thing about the kitchen: everybody is welcome here.');
    assert.equal(await sideways(), 0);
    const box = await ui.composer.boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= width && box.y + box.height <= height, JSON.stringify(box));
  });
}

test('everything on the first page weighs under 150 KB', async (t) => {
  const page = await profile(t);
  let bytes = 0;
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  session.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
  await page.goto(server.url);
  await page.getByLabel('Password', { exact: true }).waitFor();
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes > 1_000 && bytes < 150_000, `${bytes} bytes`);
});

test('with the keyboard alone: focus goes in visual order, menus and dialogs open and give it back', async (t) => {
  const { page, ui } = await open(t);
  await page.keyboard.press('Control+k');
  await page.getByRole('dialog', { name: 'Go to a room' }).waitFor();
  await page.keyboard.type('Kitch');
  await page.keyboard.press('Enter');
  await ui.room('Kitchen').waitFor();
  await until('the composer has the focus', () => ui.composer.evaluate((element) => element === document.activeElement));
  await page.keyboard.press('?');
  await ui.composer.fill('');
  const menu = page.getByRole('button', { name: 'Room menu' });
  await menu.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('menuitem', { name: 'Invite people' }).waitFor();
  await page.keyboard.press('Escape');
  await until('the menu gives the focus back', () => menu.evaluate((element) => element === document.activeElement));
  assert.equal(await ui.log.getAttribute('aria-live'), 'off');
});
