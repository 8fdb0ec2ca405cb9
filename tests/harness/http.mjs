// HTTP as a browser or a backend speaks it to the server, with every header in the test's own hands.

import http from 'node:http';
import https from 'node:https';

const keepingAlive = new http.Agent({ keepAlive: true, maxSockets: 64 });
// A server under test has a certificate that nobody knows.
const keepingAliveOverTls = new https.Agent({ keepAlive: true, maxSockets: 64, rejectUnauthorized: false });

/** One request; the body is read whole. `json` in the answer is undefined where the body is none. */
export function request(url, { method = 'GET', headers = {}, body, agent } = {}) {
  const secure = String(url).startsWith('https:');
  // Node sends the body of a DELETE without a length, which makes it the beginning of the next request.
  const sized = body === undefined ? headers : { 'content-length': Buffer.byteLength(body), ...headers };
  return new Promise((resolve, reject) => {
    const call = (secure ? https : http).request(url, { method, headers: sized, agent: agent ?? (secure ? keepingAliveOverTls : keepingAlive) }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString('utf8');
        let json;
        try {
          json = JSON.parse(text);
        } catch {
          json = undefined;
        }
        resolve({ status: answer.statusCode, headers: answer.headers, text, json });
      });
    });
    call.on('error', reject);
    call.end(body);
  });
}

/** One call of the server API: `api(server, 'publish', { channel, data })`. */
export async function api(server, method, params, headers = { 'x-api-key': server.apiKey }) {
  return request(`${server.url}/api/${method}`, { method: 'POST', headers, body: JSON.stringify(params) });
}

let people = 0;

/** A person of the chat with a cookie, as a browser would have it. */
export class Person {
  constructor(server, cookie) {
    this.server = server;
    this.cookie = cookie;
  }

  /** The first account, by the code of the set-up link. Knows `person`, `room` and `invite` afterwards. */
  static async setUp(server, { name = 'Ana', email = 'ana@example.org', password = 'correct horse battery' } = {}) {
    const person = new Person(server);
    const answer = await person.post('/v1/setup', { code: await server.setupCode(), name, email, password });
    return person.#arrived(answer, { name, email, password });
  }

  /** A second account, by the current invite of the inviter's room. */
  static async invited(inviter, { name, email, password = 'correct horse battery', room = inviter.room.id } = {}) {
    people += 1;
    const given = { name: name ?? `Person ${people}`, email: email ?? `person${people}@example.org`, password };
    const { json: invite } = await inviter.get(`/v1/rooms/${room}/invite`);
    const person = new Person(inviter.server);
    return person.#arrived(await person.post('/v1/accounts', { invite: invite.code, ...given }), given);
  }

  #arrived(answer, { name, email, password }) {
    if (answer.status !== 201) throw new Error(`no account for ${email}: ${answer.status} ${answer.text}`);
    Object.assign(this, { name, email, password, id: answer.json.person.id, ...answer.json });
    return this;
  }

  async request(method, path, body, headers = {}) {
    const changes = method !== 'GET' && method !== 'HEAD';
    const answer = await request(this.server.url + path, {
      method,
      headers: {
        ...(this.cookie ? { cookie: this.cookie } : {}),
        ...(changes ? { origin: this.server.url, 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' } : {}),
        ...headers,
      },
      body: body === undefined ? undefined : typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
    });
    // The session's cookie; the one of a known device may come alone.
    const set = answer.headers['set-cookie']?.find((cookie) => /^(__Host-)?tidings=/.test(cookie))?.split(';')[0];
    if (set) this.cookie = set;
    return answer;
  }

  get(path, headers) {
    return this.request('GET', path, undefined, headers);
  }
  post(path, body, headers) {
    return this.request('POST', path, body, headers);
  }
  put(path, body, headers) {
    return this.request('PUT', path, body, headers);
  }
  patch(path, body, headers) {
    return this.request('PATCH', path, body, headers);
  }
  /** With headers, or with a body where the path takes one. */
  delete(path, headers, body) {
    return this.request('DELETE', path, body, headers);
  }

  async signIn({ email = this.email, password = this.password } = {}) {
    return this.post('/v1/session', { email, password });
  }

  async createRoom(name, more = {}) {
    const answer = await this.post('/v1/rooms', { name, ...more });
    if (answer.status !== 201) throw new Error(`no room: ${answer.status} ${answer.text}`);
    return answer.json;
  }

  /** Posts over REST; the whole answer, whatever its status. */
  say(room, body, clientId = uuidv7()) {
    return this.post(`/v1/rooms/${room}/messages`, { client_id: clientId, body });
  }

  /** Has read everything, so that a room opens at its end. */
  async readAll() {
    const { status, text } = await this.post('/v1/rooms/read-all', {});
    if (status !== 200) throw new Error(`not read: ${status} ${text}`);
  }

  /** Every event of a room, through as many pages as it takes. */
  async events(room, { after = 0, limit = 200 } = {}) {
    const events = [];
    for (;;) {
      const { status, json, text } = await this.get(`/v1/rooms/${room}/events?after=${after}&limit=${limit}`);
      if (status !== 200) throw new Error(`no events: ${status} ${text}`);
      events.push(...json.events);
      if (!json.more || json.events.length === 0) return events;
      after = json.events.at(-1).number;
    }
  }
}

/** A client id as the web UI makes it. */
export function uuidv7(now = Date.now()) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 0; i < 6; i += 1) bytes[i] = Math.floor(now / 2 ** (8 * (5 - i))) & 0xff;
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
