// The page at /tiles/, which the server brings along: every set on a map, without any other server.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";
import { Server, elsewhere, launch, person, screenshot } from "./harness.mjs";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** The map library in the server is the one that npm gives, file by file. */
test("the map library that is brought along is the published one", () => {
  const published = join(root, "demo-web/node_modules/maplibre-gl");
  for (const file of ["maplibre-gl.mjs", "maplibre-gl-worker.mjs", "maplibre-gl.css"]) {
    const brought = brotliDecompressSync(readFileSync(join(root, "tiles/src/http/page/vendor", `${file}.br`)));
    assert.ok(brought.equals(readFileSync(join(published, "dist", file))), `${file}: pack it again, see README.md there`);
  }
  assert.ok(existsSync(join(root, "tiles/src/http/page/vendor/LICENSE.txt")));
});

for (const prefix of ["", "/maps"]) {
  test(`every set is shown on a map, below ${prefix || "the root"}`, async () => {
    const server = await Server.start(...(prefix ? ["--path-prefix", prefix] : []));
    const context = await person(browser, server, "Ada");
    const wrong = [];
    try {
      const page = await context.newPage();
      page.on("pageerror", (error) => wrong.push(error.message));
      page.on("response", (response) => response.status() >= 400 && wrong.push(`${response.status()} ${response.url()}`));
      page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
      await page.goto(`${server.url}${prefix}/tiles`);
      assert.equal(new URL(page.url()).pathname, `${prefix}/tiles/`);
      await idle(page);

      await page.getByRole("navigation", { name: "Tile sets" }).getByRole("link", { name: "basemap" }).waitFor();
      const layers = page.getByRole("region", { name: "The set that is shown" }).getByRole("checkbox");
      assert.deepEqual(await layers.evaluateAll((boxes) => boxes.map((box) => box.parentElement.textContent)),
        ["land", "borders", "countries", "cities", "Tiles' edges"]);
      assert.match(await page.locator("#bar").textContent(), /^zoom [\d.]+ · tile \d+\/\d+\/\d+: [\d.]+ k?B, \w+$/);

      // Land and sea, and none of it when the land is switched off.
      const drawn = () => page.evaluate(() => map.queryRenderedFeatures({ layers: ["land fill"] }).length);
      assert.ok((await drawn()) > 0);
      await page.getByRole("checkbox", { name: "land" }).uncheck();
      await page.waitForFunction(() => map.queryRenderedFeatures({ layers: ["land fill"] }).length === 0);
      await page.getByRole("checkbox", { name: "land" }).check();

      // A click on a city tells its attributes, at a zoom that is rendered on demand.
      await page.evaluate(() => map.jumpTo({ center: [13.4, 52.52], zoom: 9 }));
      await idle(page);
      const at = await page.evaluate(() => {
        const [city] = map.queryRenderedFeatures({ layers: ["cities point"] });
        const { x, y } = map.project(city.geometry.coordinates);
        const box = map.getCanvas().getBoundingClientRect();
        return { x: x + box.x, y: y + box.y, name: city.properties.name };
      });
      await page.mouse.click(at.x, at.y);
      const popup = page.locator(".maplibregl-popup");
      await popup.waitFor();
      assert.match(await popup.textContent(), new RegExp(`cities.*name${at.name}`));
      await screenshot(page, `tiles${prefix ? "-below-a-path" : ""}`);
      assert.deepEqual(wrong, []);
      assert.deepEqual(elsewhere, []);
    } finally {
      await context.close();
      await server.close();
    }
  });
}

/** A style of the server's own in a bare page, as anybody would write it. */
test("a bare page needs nothing but the set's style", async () => {
  const server = await Server.start();
  const context = await person(browser, server, "Ben");
  try {
    const page = await context.newPage();
    await page.goto(`${server.url}/tiles/`);
    await idle(page);
    const seen = await page.evaluate(async () => {
      const library = document.querySelector("script[type=module]").src.replace("page.mjs", "maplibre-gl.mjs");
      const { Map } = await import(library);
      document.body.innerHTML = '<div id="bare" style="position: fixed; inset: 0"></div>';
      const bare = new Map({ container: "bare", style: "/tiles/basemap/style.json", fadeDuration: 0 });
      await bare.once("idle");
      const kinds = bare.queryRenderedFeatures().map((feature) => feature.layer.type);
      return [...new Set(kinds)].sort();
    });
    assert.deepEqual(seen, ["circle", "fill", "line", "symbol"], "areas, lines, points and labels");
  } finally {
    await context.close();
    await server.close();
  }
});

/** Waits until the map has drawn all that it has to draw. */
async function idle(page) {
  await page.waitForFunction(() => globalThis.map?.loaded?.());
  await page.evaluate(() => new Promise((resolve) => {
    map.once("idle", resolve);
    map.triggerRepaint();
  }));
}
