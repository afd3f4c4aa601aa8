// A real coast, built into tiles: read by a decoder that is not ours, and drawn by a real MapLibre beside the source.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { VectorTile, classifyRings } from "@mapbox/vector-tile";
import { PbfReader } from "pbf";
import { PNG } from "pngjs";
import { feature } from "topojson-client";
import { PATIENCE_MILLIS, Server, binary, launch, openArchive, serveMapLibre } from "./harness.mjs";

const require = createRequire(import.meta.url);
const PIXELS = 256;
const DEEPEST = 8;
/** Fjords, skerries, and borders on land. */
const COUNTRIES = ["Norway", "Sweden", "Finland", "Denmark", "Estonia"];
const MIDDLE = [14.5, 63.5];

const folder = mkdtempSync(join(tmpdir(), "watersmeet-maps-test-"));
let browser, server, pages, source, tileJson;

before(async () => {
  const atlas = JSON.parse(readFileSync(require.resolve("world-atlas/countries-10m.json"), "utf8"));
  const all = feature(atlas, atlas.objects.countries).features;
  source = all.filter((country) => COUNTRIES.includes(country.properties.name));
  assert.equal(source.length, COUNTRIES.length);
  source.forEach((country, index) => (country.id = index + 1));
  const input = join(folder, "coast.geojson");
  writeFileSync(input, JSON.stringify({ type: "FeatureCollection", features: source }));
  const zooms = ["--max-zoom", String(DEEPEST), "--archive-zoom", "5"];
  execFileSync(binary, ["tiles", "build", input, "--output", join(folder, "coast.pmtiles"), ...zooms]);
  [server, browser, pages] = await Promise.all([Server.start("--tiles", folder), launch(), serveMapLibre(PIXELS)]);
  tileJson = await (await fetch(`${server.url}/tiles/coast.json`)).json();
});

after(async () => {
  await browser?.close();
  await server?.close();
  pages?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Longitude and latitude to the world's unit square. */
function mercator([longitude, latitude]) {
  const sine = Math.sin((latitude * Math.PI) / 180);
  return [longitude / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
}

/** All tiles of a zoom within the set's bounds. */
function* tilesOf(zoom) {
  const [west, south, east, north] = tileJson.bounds;
  const column = (longitude) => Math.floor(mercator([longitude, 0])[0] * 2 ** zoom);
  const row = (latitude) => Math.floor(mercator([0, latitude])[1] * 2 ** zoom);
  for (let x = column(west); x <= column(east); x++) for (let y = row(north); y <= row(south); y++) yield [zoom, x, y];
}

const signedArea = (ring) =>
  ring.reduce((sum, point, index) => sum + ring.at(index - 1).x * point.y - point.x * ring.at(index - 1).y, 0) / 2;

test("a decoder that is not ours reads every tile, and its polygons are valid", async () => {
  let tiles = 0;
  let rings = 0;
  for (let zoom = 0; zoom <= DEEPEST; zoom++) {
    for (const [z, x, y] of tilesOf(zoom)) {
      const url = tileJson.tiles[0].replace("{z}", z).replace("{x}", x).replace("{y}", y);
      const answer = await fetch(url);
      if (answer.status === 204) continue;
      assert.equal(answer.status, 200, url);
      const { layers } = new VectorTile(new PbfReader(new Uint8Array(await answer.arrayBuffer())));
      assert.deepEqual(Object.keys(layers), ["coast"]);
      const { length, extent, version } = layers.coast;
      assert.deepEqual([extent, version], [4096, 2]);
      assert.ok(length > 0, url);
      tiles++;
      for (let index = 0; index < length; index++) {
        const read = layers.coast.feature(index);
        const of = source.find((country) => country.id === read.id);
        assert.equal(read.properties.name, of.properties.name);
        assert.equal(read.type, 3);
        const polygons = classifyRings(read.loadGeometry());
        assert.ok(polygons.length > 0, url);
        for (const [outer, ...holes] of polygons) {
          for (const ring of [outer, ...holes]) {
            rings++;
            assert.ok(ring.length >= 4, url);
            assert.deepEqual(ring[0], ring.at(-1));
            assert.ok(ring.every(({ x, y }) => Math.min(x, y) >= -64 && Math.max(x, y) <= 4160), url);
          }
          assert.ok(signedArea(outer) > 0 && holes.every((hole) => signedArea(hole) < 0), url);
        }
      }
    }
  }
  assert.ok(tiles > 200 && rings > 3_000, `${tiles} tiles, ${rings} rings`);
});

test("a reader of archives that is not ours finds what viewers need, and each tile that is served", async () => {
  const archive = await openArchive(join(folder, "coast.pmtiles"));
  const header = await archive.getHeader();
  const { specVersion, clustered, tileType, minZoom, maxZoom } = header;
  assert.deepEqual({ specVersion, clustered, tileType, minZoom, maxZoom }, { specVersion: 3, clustered: true, tileType: 1, minZoom: 0, maxZoom: 5 });
  assert.ok(header.numTileContents <= header.numTileEntries && header.numTileEntries <= header.numAddressedTiles);
  const { minLon, minLat, maxLon, maxLat } = header;
  [minLon, minLat, maxLon, maxLat].forEach((edge, index) => assert.ok(Math.abs(edge - tileJson.bounds[index]) < 1e-5));
  const metadata = await archive.getMetadata();
  assert.deepEqual(metadata.vector_layers, tileJson.vector_layers);
  assert.equal(metadata.vector_layers[0].id, "coast");
  let tiles = 0;
  for (let z = 0; z <= header.maxZoom; z++) {
    const all = Array.from({ length: 4 ** z }, (_, index) => [z, index % 2 ** z, Math.floor(index / 2 ** z)]);
    for (const [z, x, y] of all) {
      const found = await archive.getZxy(z, x, y);
      if (!found) continue;
      tiles++;
      const answer = await fetch(tileJson.tiles[0].replace("{z}", z).replace("{x}", x).replace("{y}", y));
      assert.deepEqual(Buffer.from(found.data), Buffer.from(await answer.arrayBuffer()), `${z}/${x}/${y}`);
    }
  }
  assert.equal(tiles, header.numAddressedTiles);
  await archive.close();
});

/** Where the map looks, and which pixels are land, drawn by MapLibre from our tiles. */
async function drawn(page, zoom) {
  const middle = await page.evaluate(
    async ({ tiles, zoom, middle, deepest }) => {
      window.shown?.remove();
      const style = {
        version: 8,
        sources: { coast: { type: "vector", tiles, maxzoom: deepest } },
        layers: [
          { id: "sea", type: "background", paint: { "background-color": "#fff" } },
          {
            id: "land",
            type: "fill",
            source: "coast",
            "source-layer": "coast",
            paint: { "fill-color": "#000", "fill-antialias": false },
          },
        ],
      };
      const options = { fadeDuration: 0, attributionControl: false, interactive: false };
      window.shown = new window.library.Map({ container: "map", style, center: middle, zoom, ...options });
      await new Promise((resolve) => window.shown.once("idle", resolve));
      // The world's edge may have kept it from where it was to look.
      return window.shown.getCenter().toArray();
    },
    { tiles: tileJson.tiles, zoom, middle: MIDDLE, deepest: DEEPEST },
  );
  const { data } = PNG.sync.read(await page.screenshot());
  return { middle, land: Uint8Array.from({ length: PIXELS * PIXELS }, (_, index) => (data[4 * index] < 128 ? 1 : 0)) };
}

/** Which share of each pixel is land, drawn from the source at full detail. */
async function expected(page, zoom, middle) {
  const world = 512 * 2 ** zoom;
  const corner = mercator(middle).map((part) => part * world - PIXELS / 2);
  const pixel = (place) => mercator(place).map((part, axis) => part * world - corner[axis]);
  const countries = source.map(({ geometry: { type, coordinates } }) =>
    (type === "Polygon" ? [coordinates] : coordinates).flat().map((ring) => ring.map(pixel)),
  );
  const shares = await page.evaluate(
    ({ countries, pixels }) => {
      const context = new OffscreenCanvas(pixels, pixels).getContext("2d");
      for (const rings of countries) {
        context.beginPath();
        for (const ring of rings) {
          ring.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
          context.closePath();
        }
        context.fill("evenodd");
      }
      const { data } = context.getImageData(0, 0, pixels, pixels);
      return Array.from({ length: pixels * pixels }, (_, index) => data[4 * index + 3] / 255);
    },
    { countries, pixels: PIXELS },
  );
  return shares;
}

/** Whether all pixels within `reach` of a pixel hold to the test. */
function around(x, y, reach, holds) {
  for (let v = Math.max(0, y - reach); v <= Math.min(PIXELS - 1, y + reach); v++)
    for (let u = Math.max(0, x - reach); u <= Math.min(PIXELS - 1, x + reach); u++) if (!holds(v * PIXELS + u)) return false;
  return true;
}

test("the coast that MapLibre draws is the source's, without seams between neighbours", async () => {
  const page = await browser.newPage({ viewport: { width: PIXELS, height: PIXELS } });
  page.setDefaultTimeout(PATIENCE_MILLIS);
  await page.goto(`http://127.0.0.1:${pages.address().port}/`);
  await page.waitForFunction(() => window.library);
  for (const zoom of [0, 2, 4, 6, DEEPEST]) {
    const { middle, land } = await drawn(page, zoom);
    const shares = await expected(page, zoom, middle);
    let holes = 0;
    let strays = 0;
    for (let y = 0; y < PIXELS; y++)
      for (let x = 0; x < PIXELS; x++) {
        const index = y * PIXELS + x;
        // Where two countries meet, each covers a share of the pixel, and a canvas adds less than the whole.
        if (!land[index] && around(x, y, 2, (at) => shares[at] > 0.7)) holes++;
        if (land[index] && around(x, y, 1, (at) => shares[at] < 0.05)) strays++;
      }
    const total = shares.reduce((sum, share) => sum + share, 0);
    const painted = land.reduce((sum, pixel) => sum + pixel, 0);
    assert.equal(holes, 0, `zoom ${zoom}: ${holes} pixels of sea in the land`);
    assert.ok(strays <= total / 1_000, `zoom ${zoom}: ${strays} pixels of land in the sea`);
    const off = Math.abs(painted - total) / total;
    assert.ok(off < 0.02, `zoom ${zoom}: ${painted} pixels of land, not ${Math.round(total)}`);
  }
  await page.close();
});
