// Chromium as a peer: the page over HTTP/2 first, so that the socket becomes one more stream of that connection.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const url = process.argv[2].replace("ws", "http");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--ignore-certificate-errors"],
});
try {
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  await page.goto(url);
  const result = await page.evaluate(async () => {
    const socket = new WebSocket(location.href.replace(/^http/, "ws"));
    socket.binaryType = "arraybuffer";
    const next = () => new Promise((resolve) => (socket.onmessage = (event) => resolve(event.data)));
    const version = await next();
    const sizes = [];
    for (const size of [0, 1, 126, 60000]) {
      socket.send("x".repeat(size));
      sizes.push((await next()).length);
      socket.send(new Uint8Array(size));
      sizes.push((await next()).byteLength);
    }
    const closed = new Promise((resolve) => (socket.onclose = (event) => resolve([event.code, event.wasClean])));
    socket.close(4000, "bye");
    return { version, sizes, extensions: socket.extensions, closed: await closed };
  });
  assert.equal(result.version, "HTTP/2.0");
  assert.deepEqual(result.sizes, [0, 0, 1, 1, 126, 126, 60000, 60000]);
  assert.match(result.extensions, /permessage-deflate/);
  assert.deepEqual(result.closed, [4000, true]);
} finally {
  await browser.close();
}
