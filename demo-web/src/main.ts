/** Starts the app: the map, the document that the address names (`?map=NAME`), and what shows them. */

import type { Map } from "maplibre-gl";
import { Client, type Doc, init } from "watersmeet";
import { App } from "./app.js";
import { byId, h } from "./dom.js";
import { own } from "./home.js";
import { createMap } from "./map.js";
import { me } from "./me.js";
import { keepForOffline } from "./offline.js";
import { Places } from "./places.js";
import { People } from "./presence.js";
import { Unsent, showStatus } from "./status.js";
import { tokenOfThisTab } from "./token.js";

declare global {
  interface Window {
    /** For tests, and for the curious: the client, the document and the map of this page. */
    watersmeet: { client: Client; doc: Doc; map: Map };
  }
}

async function start(): Promise<void> {
  const name = new URLSearchParams(location.search).get("map") || "demo";
  document.title = `${name} · Watersmeet`;
  byId("map-name").textContent = name;
  const map = createMap(byId("map"), name);

  await init();
  const token = tokenOfThisTab();
  const client = await Client.create({ database: own("watersmeet-demo"), ...(token && { token }) });
  const doc = await client.open(name);
  const unsent = new Unsent(doc);
  new App(map, doc, new Places(doc, () => me.name), unsent);
  new People(doc, map);
  showStatus(client, doc, unsent);
  window.watersmeet = { client, doc, map };
  keepForOffline();
}

start().catch((error: unknown) => {
  byId("status").textContent = error instanceof Error ? error.message : String(error);
  byId("status").dataset["mood"] = "bad";
  byId("views").replaceChildren(h("div", { class: "empty" }, h("p", {}, "The map cannot be opened. What is stored on this device is untouched; try to load the page again.")));
  throw error;
});
