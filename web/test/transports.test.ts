/** By which ways the page tries to reach the server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { transports } from "../src/live.ts";

const names = (secure: boolean): string[] => transports("wss://chat.example.org/connection/websocket", secure).map(({ transport }) => transport);

test("a WebSocket is tried first, then HTTP streaming, and event streams where browsers say whose page asks", () => {
  assert.deepEqual(names(true), ["websocket", "http_stream", "sse"]);
  assert.deepEqual(names(false), ["websocket", "http_stream"]);
});

test("all of them are at the address of the page, over TLS where the page is", () => {
  assert.deepEqual(
    transports("wss://chat.example.org/connection/websocket", true).map(({ endpoint }) => endpoint),
    ["wss://chat.example.org/connection/websocket", "https://chat.example.org/connection/http_stream", "https://chat.example.org/connection/sse"],
  );
  assert.equal(transports("ws://127.0.0.1:8000/connection/websocket", false)[1]?.endpoint, "http://127.0.0.1:8000/connection/http_stream");
});
