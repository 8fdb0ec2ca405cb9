/** Starts the page: what the shell says, then who is here. */
import { render } from "preact";
import { api } from "./api.ts";
import { readBoot } from "./boot.ts";
import { Root } from "./components/Root.tsx";
import { App } from "./models/app.ts";
import { IndexedDbStore } from "./unsent_store.ts";

const app = new App(readBoot(), api, new IndexedDbStore());
const root = document.getElementById("app");
if (root) render(<Root app={app} />, root);
void app.start();
