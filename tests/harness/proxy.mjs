// A link that can be cut: bytes pass between a client and the server until a test says otherwise.

import { once } from 'node:events';
import net from 'node:net';

export class Proxy {
  #server;
  #pairs = new Set();
  #up = true;
  #silent = false;
  #paused = false;
  #mute = false;
  #rate = Infinity;

  constructor(port) {
    this.target = port;
  }

  static async to(port) {
    const proxy = new Proxy(port);
    proxy.#server = net.createServer((client) => proxy.#accept(client));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    proxy.#server.unref();
    proxy.port = proxy.#server.address().port;
    proxy.url = `http://127.0.0.1:${proxy.port}`;
    proxy.websocketUrl = `ws://127.0.0.1:${proxy.port}/connection/websocket`;
    return proxy;
  }

  #accept(client) {
    if (!this.#up) return client.destroy();
    const server = net.connect(this.target, '127.0.0.1');
    const pair = { client, server };
    this.#pairs.add(pair);
    if (this.#paused) this.#hold(pair);
    for (const [from, to] of [[client, server], [server, client]]) {
      from.on('data', (bytes) => {
        if (this.#silent || pair.abandoned || (this.#mute && from === server)) return;
        if (from === server && this.#rate !== Infinity) return this.#drip(from, to, bytes);
        // What is not read at one end waits in the other's kernel, as on a real line.
        if (!to.write(bytes)) {
          from.pause();
          to.once('drain', () => this.#paused || from.resume());
        }
      });
      from.on('end', () => !this.#silent && !pair.abandoned && to.end());
      from.on('error', () => {});
      from.on('close', () => {
        if (!this.#silent && !pair.abandoned) to.destroy();
        if (to.destroyed) this.#pairs.delete(pair);
      });
    }
  }

  /** Passes on so much every twentieth of a second, and reads no more before that is done. */
  #drip(from, to, bytes) {
    from.pause();
    const piece = Math.max(1, Math.floor(this.#rate / 20));
    to.write(bytes.subarray(0, piece));
    setTimeout(() => {
      if (to.destroyed) return;
      if (bytes.length > piece) this.#drip(from, to, bytes.subarray(piece));
      else this.#paused || from.resume();
    }, 50);
  }

  /** What comes from the server passes at so many bytes a second from now on, and waits in the server's kernel. */
  throttle(bytesPerSecond) {
    this.#rate = bytesPerSecond;
  }

  /** Connections open right now. */
  get open() {
    return this.#pairs.size;
  }

  /** Drops every connection and refuses new ones until `restore`. */
  cut() {
    this.#up = false;
    this.drop();
  }

  /** Drops every connection; new ones are welcome. */
  drop() {
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
  }

  restore() {
    this.#up = true;
    this.#silent = false;
    this.#mute = false;
  }

  #hold({ client, server }) {
    client.pause();
    server.pause();
  }

  /** Holds every byte back until `resume`: a line that is slow, not broken. */
  pause() {
    this.#paused = true;
    for (const pair of this.#pairs) this.#hold(pair);
  }

  resume() {
    this.#paused = false;
    for (const { client, server } of this.#pairs) {
      client.resume();
      server.resume();
    }
  }

  /** Lets requests through and swallows what comes back, until `restore`. */
  loseAnswers() {
    this.#mute = true;
  }

  /** Swallows every byte and keeps the sockets open: a peer whose cable was pulled, with no FIN. */
  blackHole() {
    this.#silent = true;
  }

  /** Swallows every byte of the connections that are open now, for good; new ones are welcome. Neither end is told. */
  abandon() {
    for (const pair of this.#pairs) pair.abandoned = true;
    this.restore();
  }

  close() {
    this.cut();
    this.#server.close();
  }
}
