// Namespaces as an application's developer configures them, seen through the stock SDK: every option of docs/channels.md.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';

import { api } from '../../harness/http.mjs';
import { Proxy } from '../../harness/proxy.mjs';
import { client, collect, connected, event, lacks, refused, subscribed } from '../../harness/sdk.mjs';
import { Server } from '../../harness/server.mjs';
import { SECRETS, tokenFor } from '../../harness/tokens.mjs';
import { until } from '../../harness/wait.mjs';

const CONFIG = `
anonymous_tokens = true

[channels]
history_size = 5

[namespaces.ask]
recovery = "on_request"
positioning = "on_request"
join_leave = "on_request"

[namespaces.watched]
recovery = "off"
positioning = "always"

[namespaces.bare]
history_size = 0
presence = false
join_leave = "off"

[namespaces.cache]
recovery_mode = "cache"

[namespaces.auto]
recovery_mode = "cache"
auto_cache_recovery = true

[namespaces.brief]
history_ttl = 1

[namespaces.narrow]
history_bytes = 3000

[namespaces.told]
join_leave = "always"
join_leave_subscribers_max = 3

[namespaces.crowd]
presence_clients_max = 1

[namespaces.news]
publish = []
see_history = ["subscriber"]
see_presence = ["user"]

[namespaces.talk]
publish = ["subscriber"]

[namespaces.staff]
subscribe = ["token"]
publish = []

[namespaces.members]
subscribe = ["user"]

[namespaces.chat]
user_limited = true

[namespaces.me]
personal = true
publish = []
join_leave = "always"

[namespaces.plain]
name_regex = "^[a-z]+$"

[namespaces.orders]
pattern = "/users/{user}/orders"

[namespaces.letters]
publication_bytes_max = 100

[namespaces.few]
channels_per_connection_max = 2

[namespaces.rare]
publish_per_second = 1
publish_burst = 2
`;

let server;
before(async () => (server = await Server.start({ env: SECRETS, config: CONFIG })));
after(() => server.kill());

const data = (publications) => publications.map((publication) => publication.data);
const as = (t, user = 'ana', claims = {}, url = server.websocketUrl) => client(t, url, { token: tokenFor(user, claims) });
const publish = async (channel, value, more = {}) => {
  const { json } = await api(server, 'publish', { channel, data: value, ...more });
  assert.ok(json.result, JSON.stringify(json));
  return json.result;
};
const code = (wanted) => (error) => {
  assert.equal(error.code, wanted, JSON.stringify(error));
  return true;
};

suite('recovery and positioning', () => {
  test('are given to everybody where they are "always", to those who ask where "on_request", and to nobody where "off" or without history', async (t) => {
    const ana = as(t);
    for (const [channel, options, wanted] of [
      ['lobby', {}, [true, true]],
      ['ask:plain', {}, [false, false]],
      ['ask:recovery', { recoverable: true }, [true, true]],
      ['ask:position', { positioned: true }, [false, true]],
      ['watched:it', { recoverable: true }, [false, true]],
      ['bare:it', { recoverable: true, positioned: true }, [false, false]],
    ]) {
      const { answer } = await subscribed(ana, channel, options);
      assert.deepEqual([answer.recoverable, answer.positioned], wanted, channel);
      assert.equal(answer.streamPosition !== undefined, wanted[1], channel);
    }
  });

  test('a subscription that knows a position is given what came after it, at its first subscribe', { skip: lacks('since') }, async (t) => {
    await publish('ask:since', 1);
    const { epoch } = await publish('ask:since', 2);
    await publish('ask:since', 3);
    const since = await subscribed(as(t), 'ask:since', { since: { offset: 1, epoch } });
    assert.deepEqual([since.answer.wasRecovering, since.answer.recovered, since.answer.hasRecoveredPublications], [true, true, true]);
    assert.deepEqual(data(await since.publications.take(2)), [2, 3]);
    const foreign = await subscribed(as(t), 'ask:since', { since: { offset: 1, epoch: 'another' } });
    assert.deepEqual([foreign.answer.wasRecovering, foreign.answer.recovered], [true, false]);
  });

  /** What a subscriber of the channel is told and given when its link was cut while these were published. */
  async function afterACut(t, channel, options, ...missed) {
    const proxy = await Proxy.to(server.port);
    t.after(() => proxy.close());
    const feed = await subscribed(as(t, 'ana', {}, proxy.websocketUrl), channel, options);
    await publish(channel, 'before');
    await feed.publications.take(1);
    const resubscribed = event(feed, 'subscribing').then(() => event(feed, 'subscribed'));
    proxy.cut();
    for (const value of missed) await publish(channel, value);
    proxy.restore();
    return { feed, answer: await resubscribed };
  }

  test('a cut in stream mode brings all that was missed', async (t) => {
    const { feed, answer } = await afterACut(t, 'ask:cut', { recoverable: true }, 1, 2, 3);
    assert.deepEqual([answer.wasRecovering, answer.recovered], [true, true]);
    assert.deepEqual(data(await feed.publications.take(4)), ['before', 1, 2, 3]);
  });

  test('a cut in cache mode brings the latest alone, and nothing when nothing was missed', async (t) => {
    const { feed, answer } = await afterACut(t, 'cache:price', {}, 1, 2, 3);
    assert.deepEqual([answer.wasRecovering, answer.recovered], [true, true]);
    await publish('cache:price', 4);
    assert.deepEqual(data(await feed.publications.take(3)), ['before', 3, 4]);
    const still = await afterACut(t, 'cache:still', {});
    assert.equal(still.answer.recovered, true);
    await publish('cache:still', 'next');
    assert.deepEqual(data(await still.feed.publications.take(2)), ['before', 'next']);
  });

  test('in cache mode with auto_cache_recovery whoever comes first is given the latest, and otherwise not', async (t) => {
    for (const value of [1, 2, 3]) await publish('auto:price', value);
    const first = await subscribed(as(t), 'auto:price');
    assert.deepEqual([first.answer.wasRecovering, first.answer.recovered], [true, true]);
    await publish('auto:price', 4);
    assert.deepEqual(data(await first.publications.take(2)), [3, 4]);
    const empty = await subscribed(as(t), 'auto:nothing');
    await publish('auto:nothing', 'first');
    assert.deepEqual(data(await empty.publications.take(1)), ['first']);
    await publish('cache:not', 1);
    const unasked = await subscribed(as(t), 'cache:not');
    assert.equal(unasked.answer.wasRecovering, false);
    await publish('cache:not', 2);
    assert.deepEqual(data(await unasked.publications.take(1)), [2]);
  });

  test('what is forgotten for its number, its bytes or its age cannot be recovered, and history is shorter', { skip: lacks('since') }, async (t) => {
    const ana = as(t);
    await connected(ana);
    for (const [channel, values, kept] of [
      ['five', [1, 2, 3, 4, 5, 6, 7], 5],
      ['narrow:it', Array.from({ length: 5 }, (_, n) => `${n}`.repeat(1000)), 2],
    ]) {
      const { epoch } = await publish(channel, 'first');
      for (const value of values) await publish(channel, value);
      assert.equal((await ana.history(channel, { limit: 100 })).publications.length, kept, channel);
      const { answer } = await subscribed(ana, channel, { since: { offset: 1, epoch } });
      assert.deepEqual([answer.wasRecovering, answer.recovered], [true, false], channel);
    }
    const { epoch } = await publish('brief:it', 'first');
    await publish('brief:it', 'second');
    await until('it is forgotten', async () => (await ana.history('brief:it', { limit: 100 })).publications.length === 0, { every: 100 });
    assert.equal((await ana.history('brief:it', { limit: 0 })).offset, 2);
    const { answer } = await subscribed(ana, 'brief:it', { since: { offset: 1, epoch } });
    assert.deepEqual([answer.wasRecovering, answer.recovered], [true, false]);
  });

  test('getState is asked for at first, and again where its position cannot be recovered (error 112), and not after a cut that can', { skip: lacks('getState') }, async (t) => {
    const proxy = await Proxy.to(server.port);
    t.after(() => proxy.close());
    const { epoch } = await publish('ask:state', 'known');
    await publish('ask:state', 'news');
    const positions = [{ offset: 1, epoch: 'foreign' }, { offset: 1, epoch }];
    let asked = 0;
    const getState = async () => positions[asked++];
    const state = await subscribed(as(t, 'ana', {}, proxy.websocketUrl), 'ask:state', { getState, recoverable: true, minResubscribeDelay: 10, maxResubscribeDelay: 50 });
    assert.equal(asked, 2);
    assert.deepEqual([state.answer.wasRecovering, state.answer.recovered], [true, true]);
    const again = event(state, 'subscribing').then(() => event(state, 'subscribed'));
    proxy.drop();
    assert.equal((await again).recovered, true);
    assert.equal(asked, 2);
    assert.deepEqual(data(await state.publications.take(1)), ['news']);
  });
});

suite('presence, joins and history', () => {
  test('who comes and goes is told to those who ask, to everybody, or to nobody', async (t) => {
    const ana = as(t);
    for (const [channel, options, told] of [
      ['ask:joins', { joinLeave: true }, true],
      ['ask:unasked', {}, false],
      ['told:it', {}, true],
      ['bare:joins', { joinLeave: true }, false],
    ]) {
      const here = await subscribed(ana, channel, options);
      const heard = [collect(here, 'join'), collect(here, 'leave')];
      const bea = as(t, 'bea');
      const there = await subscribed(bea, channel);
      await there.publish('I am here');
      await here.publications.take(1);
      there.unsubscribe();
      if (told) await until('both are heard', () => heard.every((events) => events.some((one) => one.info.user === 'bea')));
      else {
        await bea.publish(channel, 'I was here');
        await here.publications.take(2);
        assert.deepEqual(heard.map((events) => events.length), [0, 0], channel);
      }
    }
  });

  test('more subscribers than join_leave_subscribers_max are not told of each other', async (t) => {
    const joins = [];
    for (const [index, user] of ['ana', 'bea', 'cho', 'dan', 'eva'].entries()) {
      const one = await subscribed(as(t, user), 'told:crowd');
      joins[index] = collect(one, 'join');
      if (user === 'cho') await until('Ana hears Cho', () => joins[0].some((join) => join.info.user === 'cho'));
      if (user === 'eva') await one.publish('all here');
      one.publications.take(1).catch(() => {});
    }
    assert.deepEqual(joins[0].map((join) => join.info.user).filter((user) => user === 'eva'), []);
  });

  test('presence that is off is 108, above its bound 106, and counting goes on', async (t) => {
    const ana = as(t);
    const bare = await subscribed(ana, 'bare:presence');
    await assert.rejects(bare.presence(), code(108));
    await assert.rejects(bare.presenceStats(), code(108));
    const crowd = await subscribed(ana, 'crowd:it');
    assert.equal(Object.keys((await crowd.presence()).clients).length, 1);
    await subscribed(as(t, 'bea'), 'crowd:it');
    await assert.rejects(crowd.presence(), code(106));
    assert.deepEqual(await crowd.presenceStats(), { numClients: 2, numUsers: 2 });
  });

  test('a channel without history answers 108 to history', async (t) => {
    const bare = await subscribed(as(t), 'bare:history');
    await bare.publish('passes through');
    const [publication] = await bare.publications.take(1);
    assert.deepEqual([publication.data, publication.offset], ['passes through', undefined]);
    await assert.rejects(bare.history({ limit: 1 }), code(108));
  });

  test('history goes forwards, backwards and from a position, and a position of another epoch is 112', async (t) => {
    const log = await subscribed(as(t), 'ask:log');
    for (const value of [1, 2, 3, 4, 5]) await publish('ask:log', value);
    const { epoch, offset } = await log.history({ limit: 0 });
    assert.equal(offset, 5);
    for (const [query, wanted] of [
      [{ limit: 2 }, [1, 2]],
      [{ limit: -1 }, [1, 2, 3, 4, 5]],
      [{ limit: 2, reverse: true }, [5, 4]],
      [{ limit: 2, since: { offset: 2, epoch } }, [3, 4]],
      [{ limit: 2, since: { offset: 4, epoch }, reverse: true }, [3, 2]],
      [{ limit: -1, since: { offset: 5, epoch } }, []],
    ]) {
      assert.deepEqual(data((await log.history(query)).publications), wanted, JSON.stringify(query));
    }
    await assert.rejects(log.history({ limit: 1, since: { offset: 2, epoch: 'another' } }), code(112));
  });
});

suite('who may', () => {
  test('an unknown namespace is error 102 for everything, once there are namespaces', async (t) => {
    const ana = as(t);
    await connected(ana);
    assert.equal(await refused(ana, 'unknown:it'), 102);
    await assert.rejects(ana.publish('unknown:it', 1), code(102));
    await assert.rejects(ana.history('unknown:it', { limit: 1 }), code(102));
    await assert.rejects(ana.presence('unknown:it'), code(102));
    await assert.rejects(ana.presenceStats('unknown:it'), code(102));
  });

  test('publish to nobody, to subscribers, to all', async (t) => {
    const ana = as(t);
    await connected(ana);
    const news = await subscribed(ana, 'news:it');
    await assert.rejects(news.publish(1), code(103));
    await assert.rejects(ana.publish('talk:it', 1), code(103));
    const talk = await subscribed(ana, 'talk:it');
    await talk.publish(1);
    await talk.unsubscribe();
    // Where each command is a request of its own, this one may overtake the other.
    await until('the server has heard of it', () => ana.publish('talk:it', 2).then(() => false, ({ code }) => code === 103));
    await ana.publish('lobby', 1);
  });

  test('history for subscribers, presence for users', async (t) => {
    const [ana, nobody] = [as(t), as(t, '')];
    await connected(ana);
    await connected(nobody);
    await publish('news:seen', 1);
    await assert.rejects(ana.history('news:seen', { limit: 1 }), code(103));
    assert.deepEqual(await ana.presenceStats('news:seen'), { numClients: 0, numUsers: 0 });
    const seen = await subscribed(nobody, 'news:seen');
    assert.deepEqual(data((await seen.history({ limit: 1 })).publications), [1]);
    await assert.rejects(seen.presence(), code(103));
  });

  test('subscribe with a token, as a user, as anybody', async (t) => {
    const [ana, nobody] = [as(t), as(t, '')];
    assert.equal(await refused(ana, 'staff:it'), 103);
    const staff = await subscribed(ana, 'staff:token', { token: tokenFor('ana', { channel: 'staff:token', info: { seat: 7 } }) });
    assert.deepEqual(Object.values((await staff.presence()).clients)[0].chanInfo, { seat: 7 });
    assert.equal(await refused(nobody, 'members:it'), 103);
    await subscribed(ana, 'members:it');
    await subscribed(nobody, 'lobby');
  });

  test('$: a private name needs a token, and its namespace says the rest', async (t) => {
    const ana = as(t);
    assert.equal(await refused(ana, '$news:staff'), 103);
    const staff = await subscribed(ana, '$news:token', { token: tokenFor('ana', { channel: '$news:token' }) });
    await assert.rejects(staff.publish(1), code(103));
    await publish('$news:token', 'for staff');
    assert.deepEqual(data(await staff.publications.take(1)), ['for staff']);
    assert.equal(await refused(ana, '$unknown:it', { token: tokenFor('ana', { channel: '$unknown:it' }) }), 102);
  });

  test('#: a user-limited name opens to those it names, and a token opens it to another', async (t) => {
    const [ana, bea, cho] = [as(t), as(t, 'bea'), as(t, 'cho')];
    const one = await subscribed(ana, 'chat:1#ana,bea');
    await subscribed(bea, 'chat:1#ana,bea');
    assert.equal(await refused(cho, 'chat:1#ana,bea'), 103);
    await assert.rejects(cho.publish('chat:1#ana,bea', 1), code(103));
    await assert.rejects(cho.history('chat:1#ana,bea', { limit: 1 }), code(103));
    await assert.rejects(cho.presence('chat:1#ana,bea'), code(103));
    await subscribed(as(t, 'cho'), 'chat:1#ana,bea', { token: tokenFor('cho', { channel: 'chat:1#ana,bea' }) });
    assert.deepEqual(await one.presenceStats(), { numClients: 3, numUsers: 3 });
    await subscribed(cho, 'lobby#ana');
  });

  test('everybody is subscribed to a personal channel, and hears their own joins in it', async (t) => {
    const ana = as(t);
    const [begun, joins, publications] = ['subscribed', 'join', 'publication'].map((name) => collect(ana, name));
    const { client: id } = await connected(ana);
    assert.equal((await begun.take(1))[0].channel, 'me:#ana');
    const [join] = await joins.take(1);
    assert.deepEqual([join.channel, join.info.user, join.info.client], ['me:#ana', 'ana', id]);
    const second = as(t);
    const { client: other } = await connected(second);
    await until('the second device is heard', () => joins.some((one) => one.info.client === other));
    second.disconnect();
    await publish('me:#ana', 'for you');
    assert.deepEqual(data(await publications.take(1)), ['for you']);
    const bea = as(t, 'bea');
    assert.equal(await refused(bea, 'me:#ana'), 103);
    await assert.rejects(bea.publish('me:#ana', 1), code(103));
  });

  test('a personal channel is recovered after a cut', async (t) => {
    const proxy = await Proxy.to(server.port);
    t.after(() => proxy.close());
    const ana = as(t, 'dora', {}, proxy.websocketUrl);
    const [begun, publications] = ['subscribed', 'publication'].map((name) => collect(ana, name));
    await connected(ana);
    await publish('me:#dora', 1);
    await publications.take(1);
    proxy.cut();
    for (const value of [2, 3]) await publish('me:#dora', value);
    proxy.restore();
    const [, again] = await begun.take(2);
    assert.deepEqual([again.wasRecovering, again.recovered], [true, true]);
    assert.deepEqual(data(await publications.take(3)), [1, 2, 3]);
  });

  test('a pattern with {user} opens to its user', async (t) => {
    const [ana, bea] = [as(t), as(t, 'bea')];
    await subscribed(ana, '/users/ana/orders');
    assert.equal(await refused(bea, '/users/ana/orders'), 103);
    assert.equal(await refused(ana, 'orders:1'), 102);
  });

  test('a name that the namespace does not take is 107', async (t) => {
    const ana = as(t);
    await subscribed(ana, 'plain:abc');
    assert.equal(await refused(ana, 'plain:ABC'), 107);
    await assert.rejects(ana.publish('plain:1', 1), code(107));
  });
});

suite('limits', () => {
  test('a publication beyond its bytes is 106 or 107, and the next one passes', async (t) => {
    const letters = await subscribed(as(t), 'letters:it');
    await assert.rejects(letters.publish('x'.repeat(99)), (error) => [106, 107].includes(error.code));
    await letters.publish('x'.repeat(98));
    await publish('letters:it', 'y'.repeat(1000));
    assert.deepEqual(data(await letters.publications.take(2)).map((one) => one.length), [98, 1000]);
  });

  test('the third channel of a namespace that has two is 106, and one that is left makes room', async (t) => {
    const ana = as(t);
    const [first] = [await subscribed(ana, 'few:1'), await subscribed(ana, 'few:2')];
    assert.equal(await refused(ana, 'few:3'), 106);
    await subscribed(ana, 'lobby');
    await first.unsubscribe();
    await until('it has left', async () => (await ana.presenceStats('few:1')).numClients === 0);
    await subscribed(ana, 'few:4');
  });

  test('publishing too often is 111, and later it passes again', async (t) => {
    const rare = await subscribed(as(t), 'rare:it');
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map((n) => rare.publish(n)));
    // Not in order over HTTP, where each is a request of its own.
    assert.deepEqual(outcomes.map(({ reason }) => reason?.code).sort(), [111, 111, undefined, undefined]);
    await until('it passes again', () => rare.publish(5).then(() => true), { every: 200 });
  });
});

test('the file is read again at SIGHUP: a subscription keeps what it was given, and the next question is answered by the new words', async (t) => {
  const before = '[namespaces.news]\n[namespaces.old]\n';
  const own = await Server.start({ env: SECRETS, config: before });
  t.after(() => own.kill());
  const ana = as(t, 'ana', {}, own.websocketUrl);
  const lost = collect(ana, 'connecting');
  const news = await subscribed(ana, 'news:it');
  const old = await subscribed(ana, 'old:it');
  const reread = async (config, said) => {
    const from = own.output.length;
    writeFileSync(own.configFile, config);
    process.kill(own.pid, 'SIGHUP');
    await until('the log says so', () => said.test(own.output.slice(from)));
  };
  await reread('[namespaces.news]\npublish = []\npresence = false\n[namespaces.new]\n', /configuration read again/);
  await assert.rejects(news.publish(1), code(103));
  await assert.rejects(news.presence(), code(108));
  await subscribed(ana, 'new:it');
  assert.equal(await refused(ana, 'old:other'), 102);
  await api(own, 'publish', { channel: 'news:it', data: 'still here' });
  assert.deepEqual(data(await news.publications.take(1)), ['still here']);
  assert.equal(old.state, 'subscribed');

  await reread('[namespaces.news]\npublish = ["everybody"]\n', /everybody/);
  await assert.rejects(news.publish(1), code(103));
  await reread(before, /configuration read again/);
  await news.publish('again');
  assert.deepEqual(data(await news.publications.take(2)), ['still here', 'again']);
  assert.equal(lost.length, 1);
});

suite('single_connection', () => {
  let one;
  before(async () => (one = await Server.start({ env: SECRETS, config: '[namespaces.me]\npersonal = true\nsingle_connection = true\n' })));
  after(() => one.kill());

  test("a user's next connection ends the one before it for good (3504), and nobody else's", async (t) => {
    const from = (user) => client(t, one.websocketUrl, { token: tokenFor(user) });
    const [first, bea, second] = [from('ana'), from('bea'), from('ana')];
    await connected(first);
    await connected(bea);
    const end = event(first, 'disconnected');
    await connected(second);
    assert.equal((await end).code, 3504);
    await api(one, 'publish', { channel: 'me:#ana', data: 1 });
    assert.deepEqual([first.state, second.state, bea.state], ['disconnected', 'connected', 'connected']);
  });
});
