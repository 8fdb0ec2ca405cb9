// A client in twenty lines. Start a server, then:
//   npm install centrifuge ws
//   node example.mjs "$(tidings token --user ana)"
//   tidings publish news '"hello"'          (in another terminal)
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const [token, url = 'ws://127.0.0.1:8000/connection/websocket'] = process.argv.slice(2);
const centrifuge = new Centrifuge(url, { token, websocket: WebSocket });
const news = centrifuge.newSubscription('news', { recoverable: true });

// Comes again after every lost connection; what was missed meanwhile follows as publications.
news.on('subscribed', ({ recovered }) => console.log('subscribed', { recovered }));
news.on('publication', ({ offset, data }) => console.log('received', offset, data));
centrifuge.on('disconnected', ({ code, reason }) => console.error('disconnected for good', code, reason));
news.subscribe();
centrifuge.connect();

await news.publish({ text: 'hello from Node' });
console.log('history', (await news.history({ limit: 10 })).publications.length);
console.log('here', Object.values((await news.presence()).clients).map((client) => client.user));
