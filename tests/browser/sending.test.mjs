// A send that fails stays visible, with Retry and Delete.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

let server, ana;
before(async () => {
  server = await Server.start();
  ana = await Person.setUp(server);
});
after(() => server.kill());

const bodies = async () => (await ana.events(ana.room.id)).filter((event) => event.type === 'message.posted').map((event) => event.message.body);

test('a refused send is marked; Retry sends the same message, Retry all what failed with it, Delete takes it away', async (t) => {
  const page = await profile(t);
  const ui = new Ui(page);
  // Between page and server: while `refusing`, a post gets an error that no waiting heals.
  let refusing = true;
  const clientIds = [];
  await page.routeWebSocket(/\/connection\/websocket/, (socket) => {
    const upstream = socket.connectToServer();
    socket.onMessage((frame) => {
      for (const line of frame.split('\n')) {
        const command = JSON.parse(line);
        if (command.rpc?.method !== 'post') upstream.send(line);
        else {
          clientIds.push(command.rpc.data.client_id);
          if (refusing) socket.send(JSON.stringify({ id: command.id, error: { code: 1_500, message: 'refused' } }));
          else upstream.send(line);
        }
      }
    });
  });
  await page.goto(server.url);
  await ui.signIn(ana);
  await ui.room('General').waitFor();
  await ui.say('say it again');
  await ui.sees('say it again', 'failed');
  await ui.say('better not');
  await ui.sees('better not', 'failed');
  await ui.message('say it again').getByText('Not sent.').waitFor();
  await screenshot(page, 'not-sent');

  await ui.message('better not').getByRole('button', { name: 'Delete' }).click();
  await until('it is gone', async () => (await ui.message('better not').count()) === 0);
  refusing = false;
  await ui.message('say it again').getByRole('button', { name: 'Retry' }).click();
  await ui.sees('say it again', 'sent');
  assert.equal(clientIds.at(-1), clientIds[0], 'a retry is the same message');
  assert.deepEqual(await bodies(), ['say it again']);

  refusing = true;
  for (const text of ['one more', 'and another', 'and a third']) {
    await ui.say(text);
    await ui.sees(text, 'failed');
  }
  refusing = false;
  await screenshot(page, 'not-sent-several');
  await ui.button('Retry all 3').click();
  await ui.sees('and a third', 'sent');
  assert.deepEqual(await bodies(), ['say it again', 'one more', 'and another', 'and a third']);
});

test('a send whose answer is lost on the way is sent again by itself, and stored once (G2)', { timeout: 60_000 }, async (t) => {
  const page = await profile(t);
  const ui = new Ui(page);
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  await page.goto(proxy.url);
  await ui.signIn(ana);
  await ui.room('General').waitFor();
  await ui.sees('say it again');
  // The server hears the message and its answer comes back to nobody.
  proxy.loseAnswers();
  await ui.say('heard, but not answered');
  await until('the server has it', async () => (await bodies()).includes('heard, but not answered'));
  await ui.sees('heard, but not answered', 'pending');
  proxy.cut();
  proxy.restore();
  await until('it is sent', async () => (await ui.message('heard, but not answered', 'sent').count()) === 1);
  assert.equal((await bodies()).filter((body) => body === 'heard, but not answered').length, 1);
  assert.equal(await ui.message('heard, but not answered').count(), 1);
});

test('while nothing gets through for long, a calm line says so and the composer stays usable', { timeout: 60_000 }, async (t) => {
  const page = await profile(t);
  const ui = new Ui(page);
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  await page.goto(proxy.url);
  await ui.signIn(ana);
  await ui.room('General').waitFor();
  await ui.sees('say it again');
  proxy.cut();
  await page.getByText('Reconnecting…').waitFor();
  await ui.say('patience');
  await ui.sees('patience', 'pending');
  await screenshot(page, 'reconnecting');
  proxy.restore();
  // It may be in the middle of an attempt that fails, or come back by itself just then, and take the button along.
  await until('it is sent', async () => {
    await ui.button('Try now').click({ timeout: 500 }).catch(() => {});
    return (await ui.message('patience', 'sent').count()) === 1;
  });
  await until('the line is gone', async () => !(await page.getByText('Reconnecting…').isVisible()));
});
