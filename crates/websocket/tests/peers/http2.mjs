// Node's HTTP/2 client as a peer: an extended CONNECT, and frames by hand.
import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";

const url = new URL(process.argv[2].replace("ws", "http"));
const session = http2.connect(url, { rejectUnauthorized: false });
if (!session.remoteSettings?.enableConnectProtocol) await once(session, "remoteSettings");
assert.equal(session.remoteSettings.enableConnectProtocol, true);

const stream = session.request(
  {
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":scheme": "https",
    ":authority": url.host,
    ":path": "/",
    "sec-websocket-version": "13",
    origin: url.origin,
  },
  { endStream: false },
);
const [headers] = await once(stream, "response");
assert.equal(headers[":status"], 200);

let input = Buffer.alloc(0);
async function read(size) {
  while (input.length < size) input = Buffer.concat([input, (await once(stream, "data"))[0]]);
  const bytes = input.subarray(0, size);
  input = input.subarray(size);
  return bytes;
}
assert.deepEqual(await read(2 + 8), Buffer.concat([Buffer.from([0x81, 8]), Buffer.from("HTTP/2.0")]));
stream.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
assert.deepEqual(await read(4), Buffer.from([0x81, 2, 0x68, 0x69]));
stream.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa0]));
assert.deepEqual(await read(4), Buffer.from([0x88, 2, 0x0f, 0xa0]));
stream.end();
await once(stream, "close");
session.close();
