// Two archives beside each other, as a real MapLibre draws them:
//
//   node test/beside.mjs LON,LAT ZOOM,ZOOM,... OUT.png ONE.pmtiles OTHER.pmtiles
//
// A row an archive, a column a zoom. Polygons are filled and outlined, lines and points drawn.

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PNG } from "pngjs";
import { PATIENCE_MILLIS, Server, launch, serveMapLibre } from "./harness.mjs";

const PIXELS = 256;
const GAP = 4;
const [place, zooms, out, ...archives] = process.argv.slice(2);
const center = place.split(",").map(Number);
const columns = zooms.split(",").map(Number);

const folder = mkdtempSync(join(tmpdir(), "watersmeet-beside-"));
archives.forEach((archive, index) => copyFileSync(archive, join(folder, `set${index}.pmtiles`)));
const [server, browser, pages] = await Promise.all([Server.start("--tiles", folder), launch(), serveMapLibre(PIXELS)]);

/** One map, as pixels. */
async function draw(page, tiles, zoom) {
  await page.evaluate(
    async ({ tiles, zoom, center }) => {
      window.shown?.remove();
      const ids = tiles.vector_layers.map(({ id }) => id);
      const layer = (id, type, paint, kind) => ({ id: `${id} ${type}`, type, source: "set", "source-layer": id, paint, filter: ["==", ["geometry-type"], kind] });
      const layers = ids.flatMap((id) => [
        layer(id, "fill", { "fill-color": "#dcd6c2", "fill-outline-color": "#7d745c" }, "Polygon"),
        layer(id, "line", { "line-color": "#a8452c", "line-width": 1 }, "LineString"),
        layer(id, "circle", { "circle-color": "#a8452c", "circle-radius": 2 }, "Point"),
      ]);
      const source = { type: "vector", tiles: tiles.tiles, minzoom: tiles.minzoom, maxzoom: tiles.maxzoom };
      const style = { version: 8, sources: { set: source }, layers: [{ id: "sea", type: "background", paint: { "background-color": "#a9c6d6" } }, ...layers] };
      const options = { fadeDuration: 0, attributionControl: false, interactive: false };
      window.shown = new window.library.Map({ container: "map", style, center, zoom, ...options });
      await new Promise((resolve) => window.shown.once("idle", resolve));
    },
    { tiles, zoom, center },
  );
  return PNG.sync.read(await page.screenshot());
}

try {
  const page = await browser.newPage({ viewport: { width: PIXELS, height: PIXELS } });
  page.setDefaultTimeout(PATIENCE_MILLIS);
  await page.goto(`http://127.0.0.1:${pages.address().port}/`);
  await page.waitForFunction(() => window.library);
  const side = PIXELS + GAP;
  const picture = new PNG({ width: side * columns.length - GAP, height: side * archives.length - GAP, fill: true });
  picture.data.fill(255);
  for (const row of archives.keys()) {
    const tiles = await (await fetch(`${server.url}/tiles/set${row}.json`)).json();
    for (const [column, zoom] of columns.entries()) {
      PNG.bitblt(await draw(page, tiles, zoom), picture, 0, 0, PIXELS, PIXELS, column * side, row * side);
    }
  }
  writeFileSync(out, PNG.sync.write(picture));
} finally {
  await browser.close();
  await server.close();
  pages.close();
  rmSync(folder, { recursive: true, force: true });
}
