// Chromium, or Firefox where it is asked for, with one profile per person; and the words by which a person finds things in the page.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium, firefox } from 'playwright-core';

import { OUT, temporaryFolder } from './server.mjs';

const IN_FIREFOX = process.env.TIDINGS_TEST_BROWSER === 'firefox';
/** For tests of what only Chromium lets a test do, such as fingers: `test(name, CHROMIUM_ALONE, …)`. */
export const CHROMIUM_ALONE = { skip: IN_FIREFOX && 'it takes what only Chromium lets a test do' };
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];
/** Debian's Firefox speaks WebDriver BiDi. */
const [BROWSER, LAUNCHED] = IN_FIREFOX
  ? [firefox, { channel: 'moz-firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr' }]
  : [chromium, { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS }];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Milliseconds that a page may take for anything. Two cores may be busy elsewhere. */
export const SOON = 15_000;

/** A profile of its own: nothing is shared with another one, not even the cache. */
export async function profile(t, { watch = true, ...options } = {}) {
  const context = await BROWSER.launchPersistentContext(temporaryFolder(), {
    ...LAUNCHED,
    viewport: { width: 1280, height: 800 },
    locale: 'en-GB',
    timezoneId: 'UTC',
    ...options,
  });
  t.after(() => context.close());
  context.setDefaultTimeout(SOON);
  const seen = { violations: [], foreign: [], errors: [], dialogs: [], doubled: [] };
  await context.exposeBinding('reportViolation', (_, violation) => seen.violations.push(violation));
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => globalThis.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
  });
  // No message may stand in the page twice, not even for a moment between two answers.
  await context.exposeBinding('reportDoubled', (_, keys) => seen.doubled.push(...keys));
  await context.addInitScript(() => {
    new MutationObserver(() => {
      const keys = [...document.querySelectorAll('[data-key]')].map((row) => row.dataset.key);
      const doubled = keys.filter((key, index) => keys.indexOf(key) !== index);
      if (doubled.length > 0) globalThis.reportDoubled(doubled);
    }).observe(document, { subtree: true, childList: true });
  });
  const [page] = context.pages();
  const own = (url) => ['127.0.0.1', 'localhost'].includes(new URL(url).hostname) || /^(data|blob|about|chrome|devtools):/.test(url);
  context.on('request', (request) => own(request.url()) || seen.foreign.push(request.url()));
  page.on('websocket', (socket) => own(socket.url()) || seen.foreign.push(socket.url()));
  page.on('console', (message) => /Content.Security.Policy/i.test(message.text()) && seen.violations.push(message.text()));
  // Firefox reports among the page's errors that it could not connect.
  page.on('pageerror', (error) => /^(Error: )?(Firefox can’t establish a connection|The connection to ws)/.test(String(error)) || seen.errors.push(String(error)));
  page.on('dialog', (dialog) => {
    seen.dialogs.push(dialog.message());
    dialog.dismiss();
  });
  if (watch) t.after(() => clean(seen));
  return Object.assign(page, { seen });
}

/** S46, no request to another host, nothing thrown, nothing doubled: true of every page at the end of every test. */
export function clean(seen) {
  assert.deepEqual(seen, { violations: [], foreign: [], errors: [], dialogs: [], doubled: [] });
}

/** Kept for a person to look at. Not of Firefox, into whose page a style is put for it, against its policy. */
export async function screenshot(page, name) {
  if (IN_FIREFOX) return;
  mkdirSync(join(OUT, 'screenshots'), { recursive: true });
  await page.screenshot({ path: join(OUT, 'screenshots', `${name}.png`) });
}

/** What a person does and sees, in the words of the page. One place to change when the page does. */
export class Ui {
  constructor(page) {
    this.page = page;
    this.log = page.getByRole('log');
    this.composer = page.getByRole('textbox', { name: 'Message', exact: true });
    this.here = page.getByTestId('here-count');
    this.typing = page.getByTestId('typing');
    this.inviteCard = page.getByTestId('invite-card');
    this.messages = page.getByTestId('message');
    this.bodies = page.getByTestId('message-body');
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  room(name) {
    return this.page.getByRole('heading', { level: 1, name, exact: true });
  }

  roomLink(name) {
    return this.page.getByRole('navigation', { name: 'Rooms' }).getByRole('link', { name });
  }

  /** The message with exactly that text, in a state: pending, sent or failed. */
  message(text, state) {
    const inState = state ? `[data-state=${state}]` : '';
    const exactly = new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);
    return this.page.locator(`[data-testid=message]${inState}`, { has: this.bodies.filter({ hasText: exactly }) });
  }

  /** The texts that are in the page now, from old to new. */
  texts() {
    return this.bodies.evaluateAll((bodies) => bodies.map((body) => body.textContent));
  }

  /** A field by its label. What stands in it goes first: in Firefox a text is put behind that in some kinds of fields. */
  async fill(label, text) {
    const field = this.page.getByLabel(label, { exact: true });
    await field.press('ControlOrMeta+A');
    await field.press('Delete');
    await field.fill(text);
  }

  /** Fills the card of the set-up or invite link. */
  async makeAccount({ name, email, password }) {
    await this.fill('Name', name);
    await this.fill('E-mail', email);
    await this.fill('Password', password);
    await this.button('Start').click();
  }

  async signIn({ email, password }) {
    await this.fill('E-mail', email);
    await this.fill('Password', password);
    await this.button('Sign in').click();
  }

  /** Writes and sends; the message stands in the page at once, in whatever state. */
  async say(text) {
    await this.composer.fill(text);
    // Where fingers point, Enter is a new line.
    if (await this.page.evaluate(() => matchMedia('(pointer: coarse)').matches)) await this.button('Send').click();
    else await this.composer.press('Enter');
    await this.message(text).waitFor();
  }

  async sees(text, state = 'sent') {
    await this.message(text, state).waitFor();
  }

  /** Picks an entry of a menu by the name of its button. */
  async choose(menu, entry) {
    await this.page.getByRole('button', { name: menu, exact: true }).click();
    await this.page.getByRole('menuitem', { name: entry }).or(this.page.getByRole('menuitemradio', { name: entry })).click();
  }
}

/** What axe finds against WCAG 2.2 AA, in the page or a part of it: each rule with the elements that break it. */
export async function axe(page, part = 'body') {
  await page.evaluate(AXE);
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
  const { violations } = await page.evaluate(([part, values]) => globalThis.axe.run(part, { runOnly: { type: 'tag', values } }), [part, tags]);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}
