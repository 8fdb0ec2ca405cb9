// What client tokens may say and what comes of it: at connect, at a refresh, for a subscription. By the stock SDK where it
// acts by itself, by hand-written frames where the exact answer matters.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';

import { Frames } from '../../harness/frames.mjs';
import { Person, api } from '../../harness/http.mjs';
import { AFTER_109, client, collect, connected, event, lacks, subscribed } from '../../harness/sdk.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, jwt, tokenFor } from '../../harness/tokens.mjs';
import { until } from '../../harness/wait.mjs';

let server;
before(async () => (server = await Server.start({ env: SECRETS })));
after(() => server.kill());

const now = () => Date.now() / 1000;
const far = () => Math.floor(now()) + 3600;
const publish = (channel, data) => api(server, 'publish', { channel, data });
const connect = (claims = {}) => Frames.connect(server.websocketUrl, { token: tokenFor('ana', claims) });
const base64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64');

/** The close code, or the code of the error, that a connect with this token gets; 0 when it is welcome. */
async function outcome(token, url = server.websocketUrl) {
  const frames = await Frames.open(url);
  const reply = await frames.ask({ connect: { token } });
  frames.close();
  return reply.closed ?? reply.error?.code ?? 0;
}

/** Hands out these tokens one after another, and then good ones; counts them. */
function tokensOf(first, good) {
  const tokens = [...first];
  const get = async () => {
    get.asked += 1;
    return tokens.shift() ?? good();
  };
  get.asked = 0;
  return get;
}

suite('a refresh', () => {
  test('with an expired token is close 3005, and the SDK comes back with a fresh one', async (t) => {
    const getToken = tokensOf([tokenFor('ana', { ttl: 1 }), tokenFor('ana', { ttl: -60 })], () => tokenFor('ana'));
    const ana = client(t, server.websocketUrl, { getToken });
    const ended = collect(ana, 'disconnected');
    const lost = collect(ana, 'connecting');
    const news = await subscribed(ana, 'refreshed', { recoverable: true });
    await lost.take(2);
    assert.equal(lost[1].code, 3005);
    await publish('refreshed', 'still here');
    assert.equal((await news.publications.take(1))[0].data, 'still here');
    assert.equal(ended.length, 0);
    assert.equal(getToken.asked, 3);
  });

  test('of a subscription with an expired token is the push 2501, and the SDK subscribes again with a fresh one', { skip: lacks(AFTER_109) }, async (t) => {
    const token = (ttl = 3600) => tokenFor('ana', { channel: '$secret', ttl });
    const getToken = tokensOf([token(1), token(-60)], token);
    const ana = client(t, server.websocketUrl, { token: tokenFor('ana') });
    const lost = collect(ana, 'connecting');
    const subscription = ana.newSubscription('$secret', { getToken, minResubscribeDelay: 20, maxResubscribeDelay: 200, recoverable: true });
    subscription.on('error', () => {});
    const [subscribing, answers, ended] = ['subscribing', 'subscribed', 'unsubscribed'].map((name) => collect(subscription, name));
    const publications = collect(subscription, 'publication');
    subscription.subscribe();
    ana.connect();
    await answers.take(2);
    assert.deepEqual(subscribing.map(({ code }) => code), [0, 2501]);
    await publish('$secret', 'still here');
    assert.equal((await publications.take(1))[0].data, 'still here');
    assert.deepEqual([ended.length, lost.length, getToken.asked], [0, 1, 3]);
  });

  test('of a subscription with an expired token is answered by the push alone', async () => {
    const ana = await connect();
    await ana.subscribe('$secret', { token: tokenFor('ana', { channel: '$secret' }) });
    ana.send({ id: 90, sub_refresh: { channel: '$secret', token: tokenFor('ana', { channel: '$secret', ttl: -60 }) } });
    const told = await ana.next();
    assert.deepEqual([told.push?.channel, told.push?.unsubscribe?.code], ['$secret', 2501]);
    // The next thing that is said is the answer to the next command.
    assert.ok((await ana.ask({ history: { channel: 'open' } })).history);
    assert.deepEqual(ana.take(), []);
    ana.close();
  });

  test('with what is no token is close 3500, for the connection and for a subscription', async () => {
    const good = { channel: '$secret' };
    for (const command of [
      { refresh: { token: 'nonsense' } },
      { refresh: { token: tokenFor('ben') } },
      { refresh: { token: tokenFor('ana', { channel: 'x' }) } },
      { sub_refresh: { channel: '$secret', token: 'nonsense' } },
      { sub_refresh: { channel: '$secret', token: tokenFor('ben', good) } },
      { sub_refresh: { channel: '$secret', token: tokenFor('ana', { channel: '$other' }) } },
      { sub_refresh: { channel: '$secret', token: tokenFor('ana') } },
    ]) {
      const ana = await connect();
      await ana.subscribe('$secret', { token: tokenFor('ana', good) });
      assert.equal((await ana.ask(command)).closed, 3500, JSON.stringify(command));
    }
  });

  test('without a token is close 3501', async () => {
    const commands = [{ refresh: {} }, { refresh: { token: '' } }, { sub_refresh: { channel: 'open' } }, { sub_refresh: { channel: 'elsewhere' } }];
    for (const command of commands) {
      const ana = await connect();
      await ana.subscribe('open');
      assert.equal((await ana.ask(command)).closed, 3501, JSON.stringify(command));
    }
  });

  test('whose channels are others than before is close 3010, and the SDK is given those of the new token', async (t) => {
    const getToken = tokensOf([tokenFor('ana', { ttl: 1, channels: ['kept', 'taken'] })], () => tokenFor('ana', { channels: ['kept', 'new'] }));
    const ana = client(t, server.websocketUrl, { getToken });
    const [lost, begun, ended, publications] = ['connecting', 'subscribed', 'unsubscribed', 'publication'].map((name) => collect(ana, name));
    ana.connect();
    await lost.take(2);
    assert.equal(lost[1].code, 3010);
    assert.equal((await ended.take(1))[0].channel, 'taken');
    await begun.take(4);
    for (const channel of ['taken', 'new', 'kept']) await publish(channel, channel);
    // What is published in several channels has no order between them.
    const received = await publications.take(2);
    assert.deepEqual(received.map(({ channel }) => channel).sort(), ['kept', 'new']);
  });

  test('with the same channels in another order changes nothing else', async () => {
    const ana = await connect({ channels: ['a', 'b', 'c'] });
    const { refresh } = await ana.ask({ refresh: { token: tokenFor('ana', { channels: ['c', 'a', 'b', 'a'] }) } });
    assert.ok(refresh, 'it is refreshed');
    assert.equal((await ana.ask({ refresh: { token: tokenFor('ana', { subs: { a: {}, b: {} } }) } })).closed, 3010);
    const ben = await connect();
    assert.equal((await ben.ask({ refresh: { token: tokenFor('ana', { channels: ['given'] }) } })).closed, 3010);
  });

  test('that says something else of the same channels is close 3010', async () => {
    const first = { a: { info: { seat: 1 }, data: { hello: 'Ana' } } };
    for (const then of [{ a: { ...first.a, info: { seat: 2 } } }, { a: { ...first.a, data: 1 } }, { a: {} }]) {
      const ana = await connect({ subs: first });
      assert.ok((await ana.ask({ refresh: { token: tokenFor('ana', { subs: first }) } })).refresh, 'the same is refreshed');
      assert.equal((await ana.ask({ refresh: { token: tokenFor('ana', { subs: then }) } })).closed, 3010, JSON.stringify(then));
    }
  });
});

suite('a connection token', () => {
  test('may have fractions in its dates, and clocks may differ by 5 s', async () => {
    for (const claims of [
      { exp: now() + 60.25, nbf: now() - 0.5, iat: now() - 0.5 },
      { exp: now() - 2 },
      { exp: far(), nbf: now() + 3 },
      { exp: far(), iat: now() + 60 },
    ]) {
      assert.equal(await outcome(jwt({ sub: 'ana', ...claims })), 0, JSON.stringify(claims));
    }
  });

  test('that has expired or is not valid yet is error 109', async () => {
    for (const claims of [{ exp: now() - 6 }, { exp: far(), nbf: far() - 60 }, { exp: far(), expire_at: now() - 1 }, { exp: -1.5 }]) {
      assert.equal(await outcome(jwt({ sub: 'ana', ...claims })), 109, JSON.stringify(claims));
    }
  });

  test('that names an audience, demands an extension or is of another type is close 3500, and the log says why (S30)', async () => {
    const header = { alg: 'HS256', typ: 'JWT' };
    for (const [claims, head, reason] of [
      [{ aud: 'another-service' }, header, /aud/],
      [{ aud: ['another-service'] }, header, /aud/],
      [{}, { ...header, crit: ['exp'] }, /crit/],
      [{}, { ...header, b64: false, crit: ['b64'] }, /crit/],
      [{}, { ...header, typ: 'at+jwt' }, /typ/],
      [{}, { ...header, jku: 'https://keys.example' }, /jku/],
    ]) {
      const said = server.stderr.length;
      assert.equal(await outcome(jwt({ sub: 'ana', exp: far(), ...claims }, { header: head })), 3500, JSON.stringify([claims, head]));
      await until('the log says why', () => reason.test(server.stderr.slice(said)));
    }
    for (const head of [{ alg: 'HS256' }, { alg: 'HS256', typ: 'jwt' }, { ...header, kid: 'any' }]) {
      assert.equal(await outcome(jwt({ sub: 'ana', exp: far() }, { header: head })), 0, JSON.stringify(head));
    }
  });

  test('must name the configured audience and issuer, which `tidings token` then does', async (t) => {
    const own = await Server.start({ env: SECRETS, config: 'token_audience = "chat"\ntoken_issuer = "backend"\n' });
    t.after(() => own.kill());
    const named = (claims) => outcome(jwt({ sub: 'ana', exp: far(), ...claims }), own.websocketUrl);
    assert.equal(await named({ aud: 'chat', iss: 'backend' }), 0);
    assert.equal(await named({ aud: ['other', 'chat'], iss: 'backend' }), 0);
    for (const claims of [{}, { aud: 'chat' }, { iss: 'backend' }, { aud: 'other', iss: 'backend' }, { aud: 'chat', iss: 'other' }]) {
      assert.equal(await named(claims), 3500, JSON.stringify(claims));
    }
    assert.equal(await outcome(await own.token('ana'), own.websocketUrl), 0);
  });

  test('without a user is close 3507, unless the configuration lets nobody in particular in', async (t) => {
    const nobody = [jwt({ exp: far() }), jwt({ sub: '', exp: far() }), jwt({ sub: null, exp: far() })];
    for (const token of nobody) assert.equal(await outcome(token), 3507);
    const own = await Server.start({ env: SECRETS, config: 'anonymous_tokens = true\n' });
    t.after(() => own.kill());
    for (const token of nobody) assert.equal(await outcome(token, own.websocketUrl), 0);
    const frames = await Frames.connect(own.websocketUrl, { token: nobody[0] });
    assert.ok((await frames.subscribe('open')).subscribe);
    assert.ok((await frames.ask({ refresh: { token: nobody[0] } })).refresh);
    frames.close();
  });

  test('says in `subs` what each channel is to carry, and its `info` may be in Base64', async () => {
    const ana = await connect({
      channels: ['plain'],
      subs: { told: { info: { seat: 1 }, data: { hello: 'Ana' } }, coded: { b64info: base64({ seat: 2 }), b64data: base64([1]) } },
      b64info: base64({ name: 'Ana' }),
    });
    assert.deepEqual(Object.keys(ana.connected.subs).sort(), ['coded', 'plain', 'told']);
    assert.deepEqual([ana.connected.subs.told.data, ana.connected.subs.coded.data], [{ hello: 'Ana' }, [1]]);
    const infoIn = async (channel) => Object.values((await ana.ask({ presence: { channel } })).presence.presence)[0];
    const [told, coded, plain] = [await infoIn('told'), await infoIn('coded'), await infoIn('plain')];
    assert.deepEqual([told.conn_info, told.chan_info, coded.chan_info, plain.chan_info], [{ name: 'Ana' }, { seat: 1 }, { seat: 2 }, undefined]);
    ana.close();
  });

  test('lets a server-side subscription hear who comes and goes', async () => {
    const ana = await connect({ subs: { told: { join_leave: true }, untold: {} } });
    const bea = await Frames.connect(server.websocketUrl, { token: tokenFor('bea') });
    await bea.subscribe('untold');
    await bea.subscribe('told');
    const joined = await ana.until('the join', ({ push }) => (push?.join?.info.user === 'bea' ? push : undefined));
    assert.equal(joined.channel, 'told');
    bea.close();
    const left = await ana.until('the leave', ({ push }) => (push?.leave ? push : undefined));
    assert.deepEqual([left.channel, left.leave.info.user], ['told', 'bea']);
    ana.close();
  });

  test('with a claim that cannot be honoured is close 3500 and not half obeyed', async () => {
    for (const claims of [
      { b64info: 'not base 64' },
      { b64info: base64('not JSON') },
      { subs: { a: { override: { presence: false } } } },
      { subs: { a: { override: { absence: { value: true } } } } },
      { override: { presence: { value: false } } },
      { caps: [{ channels: ['['], match: 'regex', allow: ['sub'] }] },
      { caps: [{ channels: ['a'], allow: ['subscribe'] }] },
      { subs: { a: { unknown: 1 } } },
      { subs: { a: { join_leave: 'yes' } } },
      { subs: ['a'] },
      { channels: ['a', ''] },
      { channels: ['ü'] },
      { subs: { ['x'.repeat(300)]: {} } },
    ]) {
      assert.equal(await outcome(tokenFor('ana', claims)), 3500, JSON.stringify(claims));
    }
  });

  test('of an application has nothing to call: rpc is error 108', async () => {
    const ana = await connect();
    assert.equal((await ana.rpc('post', {})).error.code, 108);
    ana.close();
  });
});

suite('a channel that begins with $', () => {
  test('needs a subscription token, and without one answers 103 to everything', async () => {
    const ana = await connect();
    await publish('$secret', 'for those who may');
    for (const command of [
      { subscribe: { channel: '$secret' } },
      { subscribe: { channel: '$secret', token: tokenFor('ana') } },
      { subscribe: { channel: '$secret', token: 'nonsense' } },
      { publish: { channel: '$secret', data: 1 } },
      { history: { channel: '$secret', limit: 10 } },
      { presence: { channel: '$secret' } },
      { presence_stats: { channel: '$secret' } },
    ]) {
      assert.equal((await ana.ask(command)).error?.code, 103, JSON.stringify(command));
    }
    ana.close();
  });

  test('is as any other to those who are subscribed to it, for as long as they are', async () => {
    const ana = await connect();
    assert.ok((await ana.subscribe('$mine', { token: tokenFor('ana', { channel: '$mine', b64info: base64({ seat: 7 }) }) })).subscribe);
    assert.ok((await ana.ask({ publish: { channel: '$mine', data: 1 } })).publish);
    assert.equal((await ana.ask({ history: { channel: '$mine', limit: 10 } })).history.publications.length, 1);
    const { presence } = (await ana.ask({ presence: { channel: '$mine' } })).presence;
    assert.deepEqual(Object.values(presence).map((one) => one.chan_info), [{ seat: 7 }]);
    await ana.ask({ unsubscribe: { channel: '$mine' } });
    assert.equal((await ana.ask({ publish: { channel: '$mine', data: 2 } })).error?.code, 103);
    assert.equal((await ana.ask({ history: { channel: '$mine', limit: 10 } })).error?.code, 103);
    ana.close();
  });

  test('can be given by the connection token', async () => {
    const ana = await connect({ channels: ['$given'] });
    assert.deepEqual(Object.keys(ana.connected.subs), ['$given']);
    assert.ok((await ana.ask({ publish: { channel: '$given', data: 1 } })).publish);
    ana.close();
  });

  test('is followed by `tidings tail`, which makes itself the token', async (t) => {
    const tail = server.cliRunning('tail', '$ticker', '--server', server.url);
    t.after(() => tail.kill('SIGKILL'));
    await until('a price is printed', async () => {
      await publish('$ticker', { price: 1 });
      return /^\{"price":1\}$/m.test(tail.output);
    }, { every: 100, timeout: 15_000 });
  });
});

suite('a stale cookie of our own', () => {
  test('does not beat a token', async (t) => {
    const person = await Person.setUp(server);
    const stale = person.cookie;
    assert.equal((await person.delete('/v1/session')).status, 204);
    const headers = { cookie: stale, origin: server.url };
    const ana = await Frames.connect(server.websocketUrl, { token: tokenFor('ana') }, { headers });
    assert.ok((await ana.subscribe('open')).subscribe);
    ana.close();

    // Without a token it is nobody, whom the SDK of our page does not bring back: the page then asks who is signed in.
    const frames = await Frames.open(server.websocketUrl, { headers });
    assert.equal((await frames.ask({ connect: {} })).closed, 3501);
    await assert.rejects(Frames.open(server.websocketUrl, { headers: { cookie: stale, origin: 'https://evil.example' } }), /403/);
  });
});

test('an expired connection token without anybody to ask for another is the end, and says so', async (t) => {
  const ana = client(t, server.websocketUrl, { token: tokenFor('ana', { ttl: -60 }) });
  const end = event(ana, 'disconnected');
  ana.connect();
  assert.ok((await end).code < 3500);
  await connected(client(t, server.websocketUrl, { token: tokenFor('ana') }));
});
