import { Centrifuge } from "centrifuge";
import WebSocket from "ws";

const client = new Centrifuge("ws://127.0.0.1:8000/connection/websocket", {
  websocket: WebSocket,
  token: process.env.TOKEN, // made by: tidings token --user 42
});
const news = client.newSubscription("news", { recoverable: true });
news.on("publication", ({ data, offset }) => console.log(offset, data));
news.on("subscribed", async () => {
  await news.publish({ hello: "world" });
  console.log("history", (await news.history({ limit: 10 })).publications.length);
  console.log("here", Object.keys((await news.presence()).clients).length);
});
news.subscribe();
client.connect();
