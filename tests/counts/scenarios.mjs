// The hot paths, each as a scenario that can be run for any number of rounds.
//
// `prepare` returns how a round goes, by its number from 1 on, and how many operations there have been so far. Everything is
// the same in each run: names, sizes, the order of what is sent, one thing at a time.

import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { Person } from '../harness/http.mjs';
import { API_KEY, tokenFor } from '../harness/tokens.mjs';
import { within } from '../harness/wait.mjs';
import { Count, PATIENCE, Wire } from './wire.mjs';

const SUBSCRIBERS = 200;
// 128 bytes of JSON, as `tidings bench` has it.
const DATA = { text: 'x'.repeat(128 - '{"text":""}'.length) };
const CHANNEL = 'news';

const token = (name) => tokenFor(name, { exp: 4_000_000_000 });
const subscriber = (server, number, counts) => Wire.subscribed(server, token(`subscriber-${1000 + number}`), CHANNEL, counts);

async function subscribers(server, count, counts) {
  for (let number = 0; number < count; number += 1) await subscriber(server, number, counts);
}

async function publisher(server) {
  const wire = await Wire.open(server);
  await wire.ask({ connect: { token: token('publisher') } });
  return wire;
}

/** Publications of one client for many subscribers; the next when all have the last. */
async function delivered(server, inFlight) {
  const publications = new Count();
  await subscribers(server, SUBSCRIBERS, { publications });
  const wire = await publisher(server);
  const commands = Array(inFlight).fill({ publish: { channel: CHANNEL, data: DATA } });
  const round = async (number) => {
    await wire.ask(...commands);
    await publications.upTo(number * inFlight * SUBSCRIBERS, 'deliveries');
  };
  return { round, operations: () => publications.value };
}

/** One HTTP connection that is kept: each request in one write. */
async function backend(server) {
  const socket = connect({ port: server.port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return async (method, body) => {
    const json = JSON.stringify(body);
    socket.write(`POST /api/${method} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nX-API-Key: ${API_KEY}\r\nContent-Type: application/json\r\nContent-Length: ${json.length}\r\n\r\n${json}`);
    const [answer] = await within(PATIENCE, 'the answer', once(socket, 'data'));
    if (!/^HTTP\/1.1 200 [^]*"result"/.test(answer.toString('latin1'))) throw new Error(`refused: ${answer}`);
  };
}

export const SCENARIOS = [
  {
    name: 'delivery-one',
    what: `delivery of a publication of 128 B to one of ${SUBSCRIBERS} subscribers, one in flight`,
    rounds: 100,
    prepare: (server) => delivered(server, 1),
  },
  {
    name: 'delivery-16',
    what: 'the same, 16 in flight (one message with 16 commands)',
    rounds: 50,
    prepare: (server) => delivered(server, 16),
  },
  {
    name: 'publish-api',
    what: 'POST /api/publish on a connection that is kept, with one subscriber',
    rounds: 1_500,
    async prepare(server) {
      const publications = new Count();
      await subscribers(server, 1, { publications });
      const call = await backend(server);
      const round = async (number) => {
        await call('publish', { channel: CHANNEL, data: DATA });
        await publications.upTo(number, 'publications');
      };
      return { round, operations: () => publications.value };
    },
  },
  {
    name: 'publish-client',
    what: "a client's publish, with one subscriber",
    // With the warm-up no more than one connection may send at once, whatever rate_limits says.
    rounds: 900,
    async prepare(server) {
      const publications = new Count();
      await subscribers(server, 1, { publications });
      const wire = await publisher(server);
      const round = async (number) => {
        await wire.ask({ publish: { channel: CHANNEL, data: DATA } });
        await publications.upTo(number, 'publications');
      };
      return { round, operations: () => publications.value };
    },
  },
  {
    name: 'connect',
    what: 'TCP, upgrade, connect with a JWT, subscribe, close; one after another, beside one subscriber',
    rounds: 300,
    async prepare(server) {
      let connections = 0;
      await subscriber(server, 0);
      const round = async (number) => {
        await (await subscriber(server, number)).close();
        connections += 1;
      };
      return { round, operations: () => connections };
    },
  },
  {
    name: 'ping',
    what: "a ping to an idle client with one subscription, and its answer; with the server's own ticks meanwhile",
    env: { TIDINGS_PING_INTERVAL: '1' },
    // Enough that the answers which are under way at the beginning and at the end do not matter.
    rounds: 20,
    async prepare(server) {
      const clients = 500;
      const pings = new Count();
      await subscribers(server, clients, { pings });
      // Stopped until everybody's ping is due: how often it falls asleep between two pings would depend on the machine.
      const round = async () => {
        server.child.kill('SIGSTOP');
        await sleep(1_100);
        server.child.kill('SIGCONT');
        await pings.upTo(pings.value + clients, 'pings');
      };
      return { round, operations: () => pings.value };
    },
  },
  {
    name: 'chat-post',
    what: 'a durable message posted by rpc in a room of one, acknowledged and delivered',
    rounds: 300,
    async prepare(server) {
      const ana = await Person.setUp(server);
      const publications = new Count();
      const wire = await Wire.open(server, { publications, headers: { Origin: server.url, Cookie: ana.cookie } });
      await wire.ask({ connect: {} });
      await wire.ask({ subscribe: { channel: `room:${ana.room.id}` } });
      const round = async (number) => {
        const client_id = `0190a0a0-0000-7000-8000-${String(number).padStart(12, '0')}`;
        await wire.ask({ rpc: { method: 'post', data: { room: ana.room.id, client_id, body: DATA.text } } });
        await publications.upTo(number, 'messages');
      };
      return { round, operations: () => publications.value };
    },
  },
];
