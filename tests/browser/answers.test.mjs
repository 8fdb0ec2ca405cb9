// People answer a message and react to it: quotes that lead to what they quote, reactions, emoji by name and from the picker.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { CHROMIUM_ALONE, Ui, axe, profile, screenshot } from '../harness/browser.mjs';
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
  const picker = page.getByRole('dialog', { name: 'Choose an emoji' });
  return { page, ui, picker, search: picker.getByRole('searchbox', { name: 'Search emoji' }) };
}

const row = (page, text) => page.getByTestId('message').filter({ has: page.getByTestId('message-body').filter({ hasText: text }) });
const button = (page, text, name) => row(page, text).getByRole('button', { name });
const isFocused = (locator) => locator.evaluate((element) => element === document.activeElement);
async function press(page, text, name) {
  await row(page, text).hover();
  await row(page, text).getByRole('toolbar').getByRole('button', { name }).click();
}

test('a reply shows what it answers to everybody, leads there, and follows what becomes of it', async (t) => {
  const [his, hers] = [await open(t, ben), await open(t, ana)];
  await hers.ui.composer.fill('shall we meet at **noon**?');
  await hers.ui.composer.press('Enter');
  await his.ui.sees('shall we meet at noon?');
  await press(his.page, 'shall we meet', 'Reply');
  await his.page.getByText('Replying to Ana').waitFor();
  await until('the composer has the focus', () => isFocused(his.ui.composer));
  await screenshot(his.page, 'replying');
  await his.ui.say('noon is fine');
  assert.equal(await his.page.getByText('Replying to Ana').count(), 0);
  const quote = (page) => button(page, 'noon is fine', /^In reply to Ana ?: shall we meet at noon\?$/);
  for (const { page } of [his, hers]) await quote(page).waitFor();
  assert.match(await row(hers.page, 'noon is fine').getAttribute('aria-label'), /^Ben, .*: replied to Ana: noon is fine$/);
  await screenshot(hers.page, 'reply');
  await quote(hers.page).click();
  await until('what it answers has the focus', () => isFocused(row(hers.page, 'shall we meet')));

  // What it answers is edited, deleted and comes back.
  await hers.ui.composer.focus();
  await hers.ui.composer.press('ArrowUp');
  await hers.page.getByRole('textbox', { name: 'Edit the message' }).fill('shall we meet at one?');
  await hers.page.keyboard.press('Enter');
  await button(his.page, 'noon is fine', /^In reply to Ana ?: shall we meet at one\?$/).waitFor();
  await row(hers.page, 'at one').hover();
  await row(hers.page, 'at one').getByRole('button', { name: 'More' }).click();
  await hers.page.getByRole('menuitem', { name: 'Delete' }).click();
  await button(his.page, 'noon is fine', /^In reply to Ana ?: Message deleted$/).waitFor();
  await hers.page.getByTestId('toast').getByRole('button', { name: 'Undo' }).click();
  await button(his.page, 'noon is fine', /^In reply to Ana ?: shall we meet at one\?$/).waitFor();
  await his.page.reload();
  await button(his.page, 'noon is fine', /^In reply to Ana ?: shall we meet at one\?$/).waitFor();
});

test('Escape takes back that one replies, and what was written stays', async (t) => {
  const { page, ui } = await open(t, ana);
  await ui.say('to be or not');
  await press(page, 'to be or not', 'Reply');
  await ui.composer.fill('half a thought');
  await ui.composer.press('Escape');
  assert.equal(await page.getByText('Replying to').count(), 0);
  assert.equal(await ui.composer.inputValue(), 'half a thought');
});

test('a reaction stands at once, others see it, join in and take theirs back; those used lately come first', async (t) => {
  const [his, hers] = [await open(t, ben), await open(t, ana)];
  await hers.ui.say('cake in the kitchen');
  await his.ui.sees('cake in the kitchen');
  await press(his.page, 'cake in the kitchen', 'React');
  await until('the search has the focus', () => isFocused(his.search));
  await his.picker.getByRole('button', { name: 'grinning face', exact: true }).waitFor();
  await screenshot(his.page, 'emoji picker');
  assert.deepEqual(await axe(his.page), []);
  await his.search.fill('tada');
  await his.search.press('Enter');
  await his.picker.waitFor({ state: 'detached' });
  for (const [{ page }, who, mine] of [[his, 'you', 'true'], [hers, 'Ben', 'false']]) {
    await button(page, 'cake', `🎉 1 by ${who}`).waitFor();
    assert.equal(await button(page, 'cake', `🎉 1 by ${who}`).getAttribute('aria-pressed'), mine);
  }
  await button(hers.page, 'cake', '🎉 1 by Ben').click();
  await button(his.page, 'cake', '🎉 2 by you and Ana').waitFor();
  await screenshot(hers.page, 'reactions');
  assert.deepEqual(await axe(hers.page), []);
  assert.match(await row(his.page, 'cake').getAttribute('aria-label'), /cake in the kitchen, 2 reactions$/);
  await button(his.page, 'cake', '🎉 2 by you and Ana').click();
  await button(hers.page, 'cake', '🎉 1 by you').waitFor();
  await his.page.reload();
  await button(his.page, 'cake', '🎉 1 by Ana').waitFor();

  // By keys alone: + on a message, arrows in the picker, the used one first.
  await row(his.page, 'cake').focus();
  await his.page.keyboard.press('+');
  await his.picker.getByRole('heading', { name: 'Used lately' }).waitFor();
  await until('the search has the focus', () => isFocused(his.search));
  await his.page.keyboard.press('ArrowDown');
  await his.page.keyboard.press('Enter');
  await button(hers.page, 'cake', '🎉 2 by you and Ben').waitFor();
  await until('the message has the focus again', () => isFocused(row(his.page, 'cake')));
});

test('what the server does not take is as it was, with the reason', async (t) => {
  const { page, ui, search, picker } = await open(t, ana);
  await ui.say('quota');
  await page.route('**/reactions/**', (route) => route.fulfill({ status: 409, contentType: 'application/problem+json', body: '{"code":"too_many_reactions","detail":"Enough."}' }));
  await press(page, 'quota', 'React');
  await picker.getByRole('button', { name: 'grinning face', exact: true }).waitFor();
  await search.fill('tada');
  await search.press('Enter');
  await page.getByTestId('toast').getByText('Enough.').waitFor();
  await row(page, 'quota').locator('.reaction').first().waitFor({ state: 'detached' });
});

test('short names become emoji: offered while they are written, or at their last colon', async (t) => {
  const { page, ui, picker, search } = await open(t, ana);
  await ui.composer.pressSequentially('well done :tad');
  const offered = page.getByRole('listbox', { name: 'Emoji by name' });
  await offered.getByRole('option', { name: 'party popper' }).waitFor();
  await screenshot(page, 'short names');
  assert.deepEqual(await axe(page), []);
  await ui.composer.press('Enter');
  assert.equal(await ui.composer.inputValue(), 'well done 🎉 ');
  assert.equal(await offered.count(), 0);
  await ui.composer.pressSequentially('and :rocket:');
  await until('it is one', async () => (await ui.composer.inputValue()) === 'well done 🎉 and 🚀');
  await ui.composer.pressSequentially(' at 10:30 :gri');
  await offered.waitFor();
  await ui.composer.press('Escape');
  assert.equal(await offered.count(), 0);
  await ui.composer.press('Enter');
  await ui.sees('well done 🎉 and 🚀 at 10:30 :gri');

  await page.getByRole('button', { name: 'Emoji', exact: true }).click();
  await search.fill('rocket');
  await picker.getByRole('button', { name: 'rocket', exact: true }).click();
  await until('it stands in the composer, which has the focus', async () => (await ui.composer.inputValue()) === '🚀' && isFocused(ui.composer));
});

test('on a phone the picker comes from below, and a reaction is a press away', CHROMIUM_ALONE, async (t) => {
  const { page, ui, picker } = await open(t, ben, { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true, colorScheme: 'dark' });
  await ui.say('from the train');
  await until('it is sent', async () => (await row(page, 'from the train').getAttribute('data-state')) === 'sent');
  const box = await row(page, 'from the train').boundingBox();
  const session = await page.context().newCDPSession(page);
  const touch = { x: box.x + 120, y: box.y + box.height / 2 };
  await session.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [touch] });
  await page.getByRole('menuitem', { name: 'React' }).waitFor();
  await session.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
  await page.getByRole('menuitem', { name: 'React' }).click();
  await picker.getByRole('button', { name: 'grinning face', exact: true }).waitFor();
  await screenshot(page, 'emoji picker on a phone');
  const at = await picker.boundingBox();
  assert.ok(at.x === 0 && Math.abs(at.width - 360) < 2 && Math.abs(at.y + at.height - 640) < 2, JSON.stringify(at));
  await picker.getByRole('button', { name: 'grinning face', exact: true }).click();
  await button(page, 'from the train', '😀 1 by you').waitFor();
  await screenshot(page, 'reactions on a phone');
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
});
