// Chromium with one profile per person, and the words by which a person finds things in the page.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

import { OUT, temporaryFolder } from './server.mjs';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];
/** Milliseconds that a page may take for anything. Two cores may be busy elsewhere. */
export const SOON = 15_000;

/** A profile of its own: nothing is shared with another one, not even the cache. */
export async function profile(t, { watch = true, ...options } = {}) {
  const context = await chromium.launchPersistentContext(temporaryFolder(), {
    executablePath: EXECUTABLE,
    args: FLAGS,
    viewport: { width: 1280, height: 800 },
    locale: 'en-GB',
    timezoneId: 'UTC',
    ...options,
  });
  t.after(() => context.close());
  context.setDefaultTimeout(SOON);
  const seen = { violations: [], foreign: [], errors: [], dialogs: [] };
  await context.exposeBinding('reportViolation', (_, violation) => seen.violations.push(violation));
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => globalThis.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
  });
  const [page] = context.pages();
  const own = (url) => ['127.0.0.1', 'localhost'].includes(new URL(url).hostname) || /^(data|blob|about|chrome|devtools):/.test(url);
  context.on('request', (request) => own(request.url()) || seen.foreign.push(request.url()));
  page.on('websocket', (socket) => own(socket.url()) || seen.foreign.push(socket.url()));
  page.on('console', (message) => /Content.Security.Policy/i.test(message.text()) && seen.violations.push(message.text()));
  page.on('pageerror', (error) => seen.errors.push(String(error)));
  page.on('dialog', (dialog) => {
    seen.dialogs.push(dialog.message());
    dialog.dismiss();
  });
  if (watch) t.after(() => clean(seen));
  return Object.assign(page, { seen });
}

/** S46, and no request to another host: true of every page at the end of every test. */
export function clean(seen) {
  assert.deepEqual(seen, { violations: [], foreign: [], errors: [], dialogs: [] });
}

/** Kept for a person to look at. */
export async function screenshot(page, name) {
  mkdirSync(join(OUT, 'screenshots'), { recursive: true });
  await page.screenshot({ path: join(OUT, 'screenshots', `${name}.png`) });
}
