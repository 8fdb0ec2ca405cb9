// The stock SDK, which is told several transports, through networks that let only some of them through; and what only
// shows where each command is a request of its own.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { api } from '../../harness/http.mjs';
import { Proxy } from '../../harness/proxy.mjs';
import { ReverseProxy, allButEvents } from '../../harness/reverse_proxy.mjs';
import { client, collect, connected, event, subscribed } from '../../harness/sdk.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';
import { until } from '../../harness/wait.mjs';

const ALL = ['websocket', 'http_stream', 'sse'];

let server;
before(async () => (server = await Server.start({ env: SECRETS })));
after(() => server.kill());

const behind = async (t, options) => {
  const proxy = await ReverseProxy.to(server.port, options);
  t.after(() => proxy.close());
  return proxy;
};

for (const [name, options, transport] of [
  ['that passes everything', { websocket: 'pass' }, 'websocket'],
  ['that refuses WebSockets', {}, 'http_stream'],
  ['that swallows WebSockets', { websocket: 'swallow' }, 'http_stream'],
  ['that refuses WebSockets and holds answers back', { holds: allButEvents }, 'sse'],
  ['that refuses WebSockets and holds the bodies of answers back', { holds: allButEvents, head: false }, 'sse'],
]) {
  test(`behind a proxy ${name} the SDK finds its way over ${transport}`, { timeout: 30_000 }, async (t) => {
    const proxy = await behind(t, options);
    const ana = client(t, proxy.websocketUrl, { transports: ALL, token: tokenFor('ana'), timeout: 1_000 });
    const answer = await connected(ana);
    assert.equal(answer.transport, transport);
    const news = await subscribed(ana, `through-${transport}`);
    await news.publish({ hello: 'wörld' });
    assert.deepEqual((await news.publications.take(1))[0].data, { hello: 'wörld' });
    // Having found it, it keeps to it.
    const back = event(ana, 'connecting').then(() => event(ana, 'connected'));
    ana._transport.close();
    if (transport === 'http_stream') proxy.server.closeAllConnections();
    assert.equal((await back).transport, transport);
  });
}

for (const transport of ['http_stream', 'sse']) {
  test(`over ${transport} an expiring token is refreshed, and a subscription's too, by requests of their own`, async (t) => {
    let asked = 0;
    const ana = client(t, server.websocketUrl, {
      transports: [transport],
      getToken: async () => tokenFor('ana', { ttl: (asked += 1) === 1 ? 2 : 3600 }),
    });
    await connected(ana);
    const lost = collect(ana, 'connecting');
    let given = 0;
    const channel = `$tokened-${transport}`;
    const own = await subscribed(ana, channel, { getToken: async () => tokenFor('ana', { channel, ttl: (given += 1) === 1 ? 2 : 3600 }) });
    await until('both are refreshed', () => asked === 2 && given === 2);
    await own.publish(1);
    await own.publications.take(1);
    assert.equal(lost.length, 0);
  });

  test(`over ${transport} a client that is cut off comes back with what it missed, and its session is another`, async (t) => {
    const proxy = await Proxy.to(server.port);
    t.after(() => proxy.close());
    const ana = client(t, proxy.websocketUrl, { transports: [transport], token: tokenFor('ana') });
    const feed = await subscribed(ana, `cut-${transport}`, { recoverable: true });
    const before = ana._session;
    await api(server, 'publish', { channel: `cut-${transport}`, data: 0 });
    await feed.publications.take(1);
    const again = event(feed, 'subscribing').then(() => event(feed, 'subscribed'));
    proxy.cut();
    for (let n = 1; n <= 5; n += 1) await api(server, 'publish', { channel: `cut-${transport}`, data: n });
    proxy.restore();
    assert.equal((await again).recovered, true);
    assert.deepEqual((await feed.publications.take(6)).map(({ data }) => data), [0, 1, 2, 3, 4, 5]);
    assert.notEqual(ana._session, before);
  });

  test(`over ${transport} a server that was restarted does not know the session, and the client connects anew`, async (t) => {
    const own = await Server.start({ env: SECRETS });
    t.after(() => own.kill());
    const ana = client(t, own.websocketUrl, { transports: [transport], token: tokenFor('ana') });
    const news = await subscribed(ana, 'news');
    const again = event(news, 'subscribing').then(() => event(news, 'subscribed'));
    await own.restart();
    await again;
    await news.publish('after');
    await until('it arrives', () => news.publications.some(({ data }) => data === 'after'));
  });

  test(`over ${transport} subscribing and unsubscribing in a hurry ends as it was asked last`, async (t) => {
    const ana = client(t, server.websocketUrl, { transports: [transport], token: tokenFor('ana') });
    await connected(ana);
    const hasty = ana.newSubscription(`hasty-${transport}`);
    for (let n = 0; n < 10; n += 1) {
      hasty.subscribe();
      hasty.unsubscribe();
    }
    const answer = event(hasty, 'subscribed');
    hasty.subscribe();
    await answer;
    const heard = collect(hasty, 'publication');
    await api(server, 'publish', { channel: `hasty-${transport}`, data: 'heard' });
    assert.equal((await heard.take(1))[0].data, 'heard');
  });
}
