// A session that ends elsewhere while the page is open.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';

import { Ui, profile } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Server } from '../harness/server.mjs';

let server, ana;
before(async () => {
  server = await Server.start();
  ana = await Person.setUp(server);
});
after(() => server.kill());

test('a page whose session ended while its link was cut asks to sign in again, and then goes on', async (t) => {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const page = await profile(t);
  const ui = new Ui(page);
  await page.goto(proxy.url);
  await ui.signIn(ana);
  await ui.room('General').waitFor();
  const [cookie] = await page.context().cookies();

  proxy.cut();
  await ui.say('written without a link');
  const elsewhere = new Person(server, `${cookie.name}=${cookie.value}`);
  assert.equal((await elsewhere.delete('/v1/session')).status, 204);
  proxy.restore();
  await page.getByText('Your session has ended. Sign in again to go on; unsent messages are kept.').waitFor();
  await ui.signIn(ana);
  await ui.room('General').waitFor();
  await ui.sees('written without a link');
});
