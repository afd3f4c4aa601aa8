// The app below a path, in a real browser, through the real server: nothing that it asks for is elsewhere.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Server, addPlace, colourAt, converged, drawn, launch, open, person, ready, screenshot } from "./harness.mjs";

const HOME = "/some/maps";

test("the app works below a path, without a network too", async () => {
  const server = await Server.start("--path-prefix", HOME);
  const browser = await launch();
  try {
    const [inAnnas, inBens] = [await person(browser, server, "Anna"), await person(browser, server, "Ben")];
    const asked = [];
    for (const context of [inAnnas, inBens]) {
      context.on("request", (request) => asked.push(new URL(request.url())));
      context.on("page", (page) => page.on("websocket", (socket) => asked.push(new URL(socket.url()))));
    }
    // Whoever leaves out the last slash is sent to where it is, on the same map.
    const bens = await inBens.newPage();
    await bens.goto(`${server.url}${HOME}?map=below`);
    await ready(bens);
    const annas = await open(inAnnas, { url: server.url + HOME }, "below");
    await addPlace(annas, "Old mill");
    await converged(annas, bens);
    await bens.locator(".item", { hasText: "Old mill" }).waitFor();

    await annas.evaluate(() => window.watersmeet.map.jumpTo({ center: [10, 48], zoom: 4 }));
    await drawn(annas);
    const [r, g, b] = await colourAt(annas, await screenshot(annas, "below-a-path"), [2.1, 47.1]);
    assert(Math.hypot(r - 0xf4, g - 0xef, b - 0xe2) < 14, `no land, but ${[r, g, b]}`);

    // The page itself comes from this device.
    await annas.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await annas.waitForFunction(async () => {
      const wasm = performance.getEntriesByType("resource").find((entry) => entry.name.endsWith(".wasm"));
      return (await caches.match(wasm.name)) !== undefined;
    });
    await inAnnas.setOffline(true);
    await annas.reload();
    await ready(annas);
    await annas.locator(".item", { hasText: "Old mill" }).waitFor();
    await inAnnas.setOffline(false);

    const own = asked.filter((url) => url.protocol.startsWith("http") || url.protocol.startsWith("ws"));
    const paths = new Set(own.map((url) => url.pathname));
    assert.deepEqual([...paths].filter((path) => path !== HOME && !path.startsWith(`${HOME}/`)), []);
    for (const path of ["sync", "sw.js", "tiles/basemap.json"]) assert(paths.has(`${HOME}/${path}`), `${path} is not among ${[...paths]}`);
    // Apps elsewhere on this host share the browser's databases, and have others.
    const databases = await annas.evaluate(() => indexedDB.databases().then((all) => all.map((one) => one.name)));
    assert(databases.some((name) => name.includes(HOME)) && !databases.includes("watersmeet-demo"), `${databases}`);
  } finally {
    await browser.close();
    await server.close();
  }
});
