// The present server on the data folder of each version before: nothing is lost, and who was connected goes on.

import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';

import { Left, VERSIONS } from '../../harness/fixtures.mjs';
import { Person, api, request, uuidv7 } from '../../harness/http.mjs';
import { client, clientOf, connected, event, subscribed } from '../../harness/sdk.mjs';
import { Server } from '../../harness/server.mjs';

/** The present server on a copy of what that version left, ended with the test. */
async function upgraded(t, left) {
  const server = await Server.start({ dataDir: left.dataDir(), database: 'sqlite' });
  t.after(() => server.kill());
  return server;
}

/** Without what this version says beside what those before said: the tree of a message's marks, and who removed a member. */
const asBefore = (value) =>
  JSON.parse(JSON.stringify(value), function (key, of) {
    return key === 'content' || (key === 'by' && this.member) ? undefined : of;
  });
/** Whoever set the server up, its administrator then, owns it. */
const roleNow = ({ role }) => (role === 'admin' ? 'owner' : role);
/** Whoever reads by themselves is told of reactions; what is sent to all alike has none. */
const live = (events) => events.map((one) => (one.message ? { ...one, message: { ...one.message, reactions: undefined } } : one));
const dataOf = (publications) => publications.map((publication) => publication.data);

for (const version of VERSIONS) {
  suite(`a data folder of ${version}`, () => {
    let left;
    before(() => (left = new Left(version)));

    test('opens, and everybody signs in with the password of before', async (t) => {
      const server = await upgraded(t, left);
      assert.equal((await request(`${server.url}/readyz`)).status, 200);
      for (const person of await left.signIn(server)) {
        const { id, name, role } = (await person.get('/v1/me')).json.person;
        const known = left.people.find((one) => one.id === id);
        assert.deepEqual({ id, name, role }, { id: known.id, name: known.name, role: roleNow(known) });
        const wrong = await new Person(server).signIn({ email: known.email, password: `${known.password}!` });
        assert.equal(wrong.status, 401);
      }
      assert.doesNotMatch(server.output, /\/setup#/, 'the server is set up already');
    });

    test('keeps the sessions, the invites and both secrets', async (t) => {
      const server = await upgraded(t, left);
      const back = new Person(server, left.session.cookie);
      assert.equal((await back.get('/v1/me')).json.person.id, left.session.person);

      const newcomer = new Person(server);
      const account = { invite: left.invite.code, name: 'Dora', email: 'dora@example.org', password: 'correct horse battery' };
      const answer = await newcomer.post('/v1/accounts', account);
      assert.equal(answer.status, 201, answer.text);
      assert.equal(answer.json.room.id, left.invite.room);

      await connected(client(t, server.websocketUrl, { token: left.client_token }));
      const called = await api(server, 'channels', {}, { 'x-api-key': left.apiKey });
      assert.equal(called.status, 200, called.text);
    });

    test('has the same rooms, members, messages and events', async (t) => {
      const server = await upgraded(t, left);
      const people = await left.signIn(server);
      for (const person of people) {
        const { rooms } = (await person.get('/v1/rooms')).json;
        const known = (room) => left.rooms.some(({ id }) => id === room.id);
        assert.deepEqual(rooms.filter(known).map((room) => room.id).sort(), left.rooms.map((room) => room.id).sort());
        for (const room of rooms.filter((one) => !known(one))) assert.ok(room.member, `${person.name} sees ${room.name}`);
        for (const room of left.rooms) {
          const member = room.members.some((one) => one.id === person.id);
          const { name, topic, epoch, offset, members, member: isMember } = rooms.find((one) => one.id === room.id);
          assert.deepEqual({ name, topic, members, isMember }, { name: room.name, topic: room.topic, members: room.members.length, isMember: member });
          if (!member) {
            assert.equal((await person.get(`/v1/rooms/${room.id}/events`)).status, 404, `${person.name} is not in ${room.name}`);
            continue;
          }
          assert.deepEqual({ epoch, offset }, { epoch: room.epoch, offset: room.offset });
          const { members: present } = (await person.get(`/v1/rooms/${room.id}/members`)).json;
          assert.deepEqual(present.map(({ id, name }) => ({ id, name })), room.members.map(({ id, name }) => ({ id, name })));
          const maker = room.events.find((one) => one.type === 'room.created').member.id;
          for (const one of present) assert.equal(one.role, one.id === maker ? 'owner' : 'member', 'who made a room owns it');
          assert.deepEqual(asBefore(await person.events(room.id, { limit: 7 })), asBefore(room.events));
          const page = (await person.get(`/v1/rooms/${room.id}/messages?limit=200`)).json;
          assert.deepEqual(asBefore(page), asBefore({ messages: left.messages(room), more: false }));
        }
      }
    });

    test('a client that was connected before resumes with exactly the events it missed', async (t) => {
      const server = await upgraded(t, left);
      const [, ben] = await left.signIn(server);
      const centrifuge = clientOf(t, ben);
      for (const room of left.rooms) {
        const since = { offset: room.earlier, epoch: room.epoch };
        const subscription = await subscribed(centrifuge, `room:${room.id}`, { recoverable: true, since });
        const { wasRecovering, recovered, streamPosition } = subscription.answer;
        assert.deepEqual({ wasRecovering, recovered, epoch: streamPosition.epoch }, { wasRecovering: true, recovered: true, epoch: room.epoch });
        const missed = room.events.filter((one) => one.number > room.earlier);
        const received = await subscription.publications.take(missed.length);
        assert.deepEqual(asBefore(dataOf(received)), asBefore(live(missed)));
        assert.deepEqual(received.map((publication) => publication.offset), missed.map((one) => one.number));

        // What comes next follows without a gap, so that nothing more was on its way.
        const { json: posted } = await ben.say(room.id, 'after the upgrade');
        assert.equal(posted.number, room.offset + 1);
        const all = await subscription.publications.take(missed.length + 1);
        assert.deepEqual([all.length, all.at(-1).offset, all.at(-1).data.message.id], [missed.length + 1, room.offset + 1, posted.id]);
      }
    });

    test('whoever lost the membership before does not resume', async (t) => {
      const server = await upgraded(t, left);
      const people = await left.signIn(server);
      const room = left.room('Club');
      const removed = people.find((person) => !room.members.some((member) => member.id === person.id));
      const centrifuge = clientOf(t, removed);
      const subscription = centrifuge.newSubscription(`room:${room.id}`, { recoverable: true, since: { offset: room.earlier, epoch: room.epoch } });
      const refused = event(subscription, 'unsubscribed');
      subscription.subscribe();
      centrifuge.connect();
      assert.equal((await refused).code, 103);
    });

    test('a send repeated over the upgrade gets the answer of before and is not announced; numbering goes on', async (t) => {
      const server = await upgraded(t, left);
      const people = await left.signIn(server);
      const room = left.room('General');
      const live = await subscribed(clientOf(t, people[0]), `room:${room.id}`, { recoverable: true });
      for (const message of left.messages(room)) {
        const author = people.find((person) => person.id === message.author.id);
        const again = await author.say(room.id, message.body, message.client_id);
        assert.equal(again.status, 200, again.text);
        assert.deepEqual(again.json, { id: message.id, number: message.number, time: message.time });
      }
      const [first] = left.messages(room);
      const author = people.find((person) => person.id === first.author.id);
      assert.equal((await author.say(room.id, 'something else', first.client_id)).status, 409);

      for (const [index, person] of people.entries()) {
        assert.equal((await person.say(room.id, `new ${index}`, uuidv7())).json.number, room.offset + 1 + index);
      }
      const announced = await live.publications.take(people.length);
      assert.deepEqual(announced.map((publication) => publication.offset), people.map((_, index) => room.offset + 1 + index));
      const events = await people[0].events(room.id);
      assert.deepEqual(asBefore(events.slice(0, room.offset)), asBefore(room.events));
      assert.deepEqual(events.map((one) => one.number), events.map((_, index) => index + 1));
    });
  });
}
