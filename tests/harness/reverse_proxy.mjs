// A reverse proxy of the kind that offices and hosters have: it knows HTTP and not WebSocket, and holds answers back until
// it has all of them.

import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';

export class ReverseProxy {
  /** What came through: method and path. */
  seen = [];
  #sockets = new Set();

  /**
   * `websocket` is `pass`, `refuse` (with 403) or `swallow`: no answer at all. `holds` says of an answer's head whether its
   * body is held back until it ends, and `head` whether the head is too.
   */
  static async to(port, { websocket = 'refuse', holds = () => false, head = true } = {}) {
    const proxy = new ReverseProxy();
    proxy.server = http.createServer((request, response) => {
      proxy.seen.push(`${request.method} ${request.url.split('?')[0]}`);
      const call = http.request({ port, host: '127.0.0.1', method: request.method, path: request.url, headers: request.headers, agent: false });
      request.pipe(call);
      response.on('close', () => call.destroy());
      call.on('error', () => response.destroy());
      call.on('response', (answer) => {
        answer.on('error', () => response.destroy());
        const held = holds({ path: request.url, headers: answer.headers });
        if (!held || !head) {
          response.writeHead(answer.statusCode, answer.headers);
          response.flushHeaders();
        }
        if (!held) return answer.pipe(response);
        const parts = [];
        answer.on('data', (part) => parts.push(part));
        answer.on('end', () => {
          if (head) response.writeHead(answer.statusCode, answer.headers);
          response.end(Buffer.concat(parts));
        });
      });
    });
    proxy.server.on('connection', (socket) => proxy.#sockets.add(socket).size && socket.on('close', () => proxy.#sockets.delete(socket)));
    proxy.server.on('upgrade', (request, socket, first) => {
      proxy.seen.push(`upgrade ${request.url.split('?')[0]}`);
      socket.on('error', () => {});
      if (websocket === 'refuse') return socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
      if (websocket === 'swallow') return;
      const server = net.connect(port, '127.0.0.1');
      server.on('error', () => socket.destroy());
      const lines = request.rawHeaders.flatMap((name, index, all) => (index % 2 ? [] : [`${name}: ${all[index + 1]}`]));
      server.write(`GET ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      server.write(first);
      socket.pipe(server).pipe(socket);
    });
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    proxy.server.unref();
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    proxy.websocketUrl = `${proxy.url.replace('http', 'ws')}/connection/websocket`;
    return proxy;
  }

  close() {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Holds back every answer but event streams, which many proxies know. */
export const allButEvents = ({ path, headers }) => path.startsWith('/connection/') && !/event-stream/.test(headers['content-type']);
