// Node's `ws` as a peer: client URL plain|compressed, or server ADDRESS plain|compressed.
import assert from "node:assert/strict";
import { once } from "node:events";
import { WebSocket, WebSocketServer } from "ws";

const [role, where, word] = process.argv.slice(2);
const perMessageDeflate = word === "compressed" && { threshold: 0 };

function check(socket) {
  const agreed = socket.extensions.includes("permessage-deflate");
  assert.equal(agreed, word === "compressed", `extensions: ${socket.extensions}`);
}

if (role === "server") {
  const [host, port] = where.split(":");
  const server = new WebSocketServer({ host, port: Number(port), perMessageDeflate });
  server.on("connection", (socket) => {
    check(socket);
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  await once(server, "listening");
  console.log(`ws://${host}:${server.address().port}`);
} else {
  const socket = new WebSocket(where, { perMessageDeflate });
  await once(socket, "open");
  check(socket);
  const echo = async (data) => {
    socket.send(data);
    const [back, isBinary] = await once(socket, "message");
    assert.equal(isBinary, typeof data !== "string");
    assert.ok(Buffer.from(data).equals(back), `${data.length} bytes came back as ${back.length} others`);
  };
  for (const size of [0, 1, 125, 126, 65535, 65536, 300000]) {
    await echo("ä".repeat(size));
    await echo(Buffer.alloc(size, "abcdefg"));
  }
  for (let number = 0; number < 200; number++) await echo(`message ${number}`);
  socket.send("in ", { fin: false });
  socket.send("fragments", { fin: true });
  assert.equal(String((await once(socket, "message"))[0]), "in fragments");
  socket.ping("sign of life");
  assert.equal(String((await once(socket, "pong"))[0]), "sign of life");
  socket.close(4000, "bye");
  assert.equal((await once(socket, "close"))[0], 4000);
}
