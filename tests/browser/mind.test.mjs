// People change their mind: editing, deleting, taking that back, and what others see of it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { CHROMIUM_ALONE, Ui, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

let server, ana, ben;
before(async () => {
  server = await Server.start();
  ana = await Person.setUp(server, { name: 'Ana' });
  ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
});
after(() => server.kill());

async function open(t, person, options) {
  const page = await profile(t, options);
  const ui = new Ui(page);
  await page.goto(server.url);
  await ui.signIn(person);
  await ui.room('General').waitFor();
  await ui.composer.waitFor();
  return { page, ui, editor: page.getByRole('textbox', { name: 'Edit the message' }), toast: page.getByTestId('toast') };
}

const row = (page, text) => page.getByTestId('message').filter({ hasText: text });
const isFocused = (locator) => locator.evaluate((element) => element === document.activeElement);
/** What can be done with a message, by its menu. */
async function choose(page, text, entry) {
  await row(page, text).hover();
  await row(page, text).getByRole('button', { name: 'More' }).click();
  await page.getByRole('menuitem', { name: entry }).click();
}

test('arrow up edits the last own message in its place; others see the new text at once, and what it said before', async (t) => {
  const [his, hers] = [await open(t, ben), await open(t, ana)];
  await hers.ui.say('ships at none');
  await his.ui.say('fine');
  await hers.ui.composer.press('ArrowUp');
  await until('the editor has the focus', () => isFocused(hers.editor));
  assert.equal(await hers.editor.inputValue(), 'ships at none');
  await screenshot(hers.page, 'editing');
  await hers.editor.press('Escape');
  await until('the composer has it again', () => isFocused(hers.ui.composer));
  assert.equal(await hers.editor.count(), 0);

  await hers.ui.composer.press('ArrowUp');
  await hers.editor.fill('ships at noon');
  await hers.editor.press('Enter');
  await row(his.page, 'ships at noon').getByText('(edited)').waitFor();
  await until('the composer has it again', () => isFocused(hers.ui.composer));
  assert.equal(await row(his.page, 'ships at none').count(), 0);
  assert.match(await row(his.page, 'ships at noon').getAttribute('aria-label'), /ships at noon, edited$/);
  await row(his.page, 'ships at noon').getByRole('button', { name: /^Edited .* what it said before$/ }).click();
  const history = his.page.getByRole('dialog', { name: 'What it said before' });
  await history.getByText('ships at none').waitFor();
  await screenshot(his.page, 'edits');
  await his.page.keyboard.press('Escape');
  await history.waitFor({ state: 'detached' });

  // Of his own he has Edit, and of hers nothing but its text.
  await row(his.page, 'ships at noon').hover();
  await row(his.page, 'ships at noon').getByRole('button', { name: 'More' }).click();
  assert.deepEqual(await his.page.getByRole('menuitem').allInnerTexts(), ['React', 'Reply', 'Reply in thread', 'Copy text', 'Show who wrote it', 'Copy link', 'Mark as unread from here']);
});

test('an edit that is open on one device stays as it is when another one saves', async (t) => {
  const [one, other] = [await open(t, ana), await open(t, ana)];
  await one.ui.say('first thought');
  await other.ui.sees('first thought');
  await other.ui.composer.press('ArrowUp');
  await other.editor.fill('thought on the other device');
  await one.ui.composer.press('ArrowUp');
  await one.editor.fill('thought on this device');
  await one.editor.press('Enter');
  await row(one.page, 'thought on this device').getByText('(edited)').waitFor();
  assert.equal(await other.editor.inputValue(), 'thought on the other device');
  await other.page.getByRole('button', { name: 'Save' }).click();
  await row(one.page, 'thought on the other device').waitFor();
});

test('what is deleted is gone for everybody at once, and comes back by Undo', async (t) => {
  const [his, hers] = [await open(t, ben), await open(t, ana)];
  await hers.ui.say('a slip of the tongue');
  await his.ui.sees('a slip of the tongue');
  await choose(hers.page, 'a slip of the tongue', 'Delete');
  await hers.toast.getByText('Message deleted').waitFor();
  await until('it is gone for him', async () => (await row(his.page, 'a slip of the tongue').count()) === 0);
  await screenshot(hers.page, 'deleted');
  await hers.toast.getByRole('button', { name: 'Undo' }).click();
  await his.ui.sees('a slip of the tongue');
  await hers.ui.sees('a slip of the tongue');

  await choose(hers.page, 'a slip of the tongue', 'Delete');
  await until('it is gone for him', async () => (await row(his.page, 'a slip of the tongue').count()) === 0);
  await his.page.reload();
  await his.page.getByText('Message deleted').waitFor();
  await hers.toast.getByRole('button', { name: 'Undo' }).waitFor({ state: 'detached' });
  const all = JSON.stringify([await ben.events(ben.room?.id ?? ana.room.id), await (await his.page.content())]);
  assert.ok(!all.includes('a slip of the tongue'));
});

test('who looks after the server deletes what others said and says why', async (t) => {
  const [his, hers] = [await open(t, ben), await open(t, ana)];
  await his.ui.say('buy cheap watches');
  await hers.ui.sees('buy cheap watches');
  await choose(hers.page, 'buy cheap watches', 'Delete');
  const dialog = hers.page.getByRole('dialog', { name: 'Delete the message of Ben?' });
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await dialog.getByText('Say why. The room reads it.').waitFor();
  await dialog.getByLabel('Reason').fill('no advertising');
  await screenshot(hers.page, 'delete-with-reason');
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await row(his.page, 'Message deleted by Ana: no advertising').waitFor();
  await hers.toast.getByRole('button', { name: 'Undo' }).waitFor();
});

test('by the keyboard alone: from the composer up to a message, its actions, and back', async (t) => {
  const { page, ui, editor, toast } = await open(t, ana);
  await ui.say('typed by hand');
  await page.keyboard.press('Shift+F6');
  await page.keyboard.press('ArrowUp');
  await until('the message has the focus', () => isFocused(row(page, 'typed by hand')));
  await page.keyboard.press('e');
  await until('the editor has it', () => isFocused(editor));
  await page.keyboard.press('End');
  await page.keyboard.type(' and again');
  await page.keyboard.press('Enter');
  await row(page, 'typed by hand and again').getByText('(edited)').waitFor();
  await until('the message has it again', () => isFocused(row(page, 'typed by hand and again')));
  const more = row(page, 'typed by hand and again').getByRole('button', { name: 'More' });
  for (let tabs = 0; tabs < 6 && !(await isFocused(more)); tabs++) await page.keyboard.press('Tab');
  assert.ok(await isFocused(more), 'its actions are the next stops');
  await page.keyboard.press('Enter');
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  const undo = toast.getByRole('button', { name: 'Undo' });
  await until('the way back has the focus', () => isFocused(undo));
  await page.keyboard.press('Enter');
  await row(page, 'typed by hand and again').waitFor();
  await until('the composer has the focus', () => isFocused(ui.composer));
});

test('on a phone a finger that rests on a message opens its menu, and nothing is wider than the screen', CHROMIUM_ALONE, async (t) => {
  const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: 'dark' };
  const { page, ui, editor } = await open(t, ana, phone);
  await ui.composer.fill('written on a phone');
  await page.getByRole('button', { name: 'Send' }).click();
  await ui.sees('written on a phone');
  const box = await row(page, 'written on a phone').boundingBox();
  const client = await page.context().newCDPSession(page);
  const touch = (type, points) => client.send('Input.dispatchTouchEvent', { type, touchPoints: points });
  await touch('touchStart', [{ x: box.x + 80, y: box.y + box.height / 2 }]);
  await page.getByRole('menuitem', { name: 'Edit' }).waitFor();
  await touch('touchEnd', []);
  await screenshot(page, 'menu-on-a-phone');
  await page.getByRole('menuitem', { name: 'Edit' }).click();
  await editor.fill('written on a phone, and mended there');
  await screenshot(page, 'editing-on-a-phone');
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  await page.getByRole('button', { name: 'Save' }).click();
  await row(page, 'and mended there').getByText('(edited)').waitFor();
});
