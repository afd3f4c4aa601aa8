// The public test tiles of vector tiles' decoders and encoders (mvt-fixtures), in both directions, by readers of tiles
// and archives that are not ours.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { VectorTile } from "@mapbox/vector-tile";
import { PbfReader } from "pbf";
import { binary, openArchive } from "./harness.mjs";

const packaged = dirname(createRequire(import.meta.url).resolve("@mapbox/mvt-fixtures"));
const fixtures = readdirSync(join(packaged, "fixtures")).map((name) => {
  const file = join(packaged, "fixtures", name, "tile.mvt");
  const { description, validity } = JSON.parse(readFileSync(join(dirname(file), "info.json"), "utf8"));
  return { name, file, description, validity };
});
const valid = fixtures.filter(({ validity }) => validity.v2);

/** What decoders should not take, though it says that it is valid: a command of 536,870,911 points, of which one is there. */
const BOTTOMLESS = "057";
/** What this decoder passes over where it may: fields that it does not know, as protocol buffers ask. */
const PASSED_OVER = new Set(["024"]);
/** What no map can hold: places half a million degrees away. */
const NOWHERE = new Set([BOTTOMLESS, "049", "050"]);

const folder = mkdtempSync(join(tmpdir(), "watersmeet-fixtures-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Ours, as it is run by hand. */
function decode(file) {
  const { status, stdout, stderr } = spawnSync(binary, ["tiles", "decode", file, "0/0/0"], { encoding: "utf8" });
  const features = stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  return { status, stderr, features };
}

/** Another decoder's features, each with its layer. */
function witnessed(bytes) {
  const { layers } = new VectorTile(new PbfReader(bytes));
  return Object.values(layers).flatMap((layer) => Array.from({ length: layer.length }, (_, index) => ({ layer, feature: layer.feature(index) })));
}

/** In the form that ours has. A feature of no known type has no geometry. */
function geojson({ layer, feature }, [z, x, y] = [0, 0, 0]) {
  const { id, geometry, properties } = feature.type > 0 ? feature.toGeoJSON(x, y, z) : { ...feature, geometry: null };
  if (geometry?.type === "Polygon") geometry.coordinates.forEach(turn);
  if (geometry?.type === "MultiPolygon") geometry.coordinates.flat().forEach(turn);
  return { type: "Feature", layer: layer.name, ...(id === undefined ? {} : { id }), properties, geometry };
}

/** That decoder leaves rings as tiles turn them; GeoJSON (RFC 7946, 3.1.6) turns them the other way. */
const turn = (ring) => ring.reverse();

/** Numbers as a float has them, and places to a fraction of a tile's unit: the two reckon in other steps. */
function rounded(value) {
  if (typeof value === "number") return Number.isInteger(value) ? value : Math.fround(Math.round(value * 1e4) / 1e4);
  if (Array.isArray(value)) return value.map(rounded);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, rounded(v)]));
  return value;
}

test("what is valid is read as another decoder reads it", () => {
  for (const { name, file, description } of valid.filter(({ name }) => name !== BOTTOMLESS)) {
    const ours = decode(file);
    assert.equal(ours.status, 0, `${name}, ${description}: ${ours.stderr}`);
    assert.deepEqual(rounded(ours.features), rounded(witnessed(readFileSync(file)).map((seen) => geojson(seen))), `${name}, ${description}`);
  }
  assert.ok(valid.length > 45, `${valid.length} fixtures`);
});

test("what breaks the specification is an error that says what, and never ends a program otherwise", () => {
  const bottomless = fixtures.find(({ name }) => name === BOTTOMLESS);
  const invalid = fixtures.filter(({ validity }) => !validity.v2);
  for (const { name, file, description, validity } of [...invalid, bottomless]) {
    const { status, stderr } = decode(file);
    if (status !== 0) assert.match(stderr, /^error: .*, tile 0\/0\/0: .+/, `${name}, ${description}`);
    if (validity.error === "fatal" && !PASSED_OVER.has(name)) assert.equal(status, 1, `${name}, ${description}`);
  }
  assert.equal(decode(bottomless.file).status, 1);
  assert.ok(invalid.length > 20, `${invalid.length} fixtures`);
});

/** Away from the world's edges, beyond which a tile would show what lies at the other side. */
const PLACE = [2, 1, 1];
const BUFFER = 64;

/** What a tile of ours is to hold of a feature: what lies beyond the tile's buffer is cut away there. */
function held({ feature }) {
  const within = (at) => Math.min(Math.max(at, -BUFFER), feature.extent + BUFFER);
  const parts = feature.loadGeometry().map((part) => part.map(({ x, y }) => [x, y].map(within)));
  // A ring may begin anywhere, and a feature's points have no order.
  const least = (part) => part.indexOf(part.reduce((least, point) => (String(point) < String(least) ? point : least)));
  const begun = (ring) => [...ring.slice(least(ring), -1), ...ring.slice(0, least(ring) + 1)];
  const geometry = feature.type === 3 ? parts.map(begun) : feature.type === 1 ? parts.sort() : parts;
  return JSON.stringify(rounded({ type: feature.type, properties: Object.entries(feature.properties).sort(), geometry }));
}

test("what a fixture holds is encoded again, and another decoder finds the same", async () => {
  let encoded = 0;
  for (const { name, file, description } of valid.filter(({ name }) => !NOWHERE.has(name))) {
    const features = witnessed(readFileSync(file)).filter(({ feature }) => feature.type > 0);
    if (!features.length) continue;
    const [{ layer }] = features;
    const input = join(folder, `${name}.geojson`);
    const output = join(folder, `${name}.pmtiles`);
    writeFileSync(input, JSON.stringify({ type: "FeatureCollection", features: features.map((seen) => geojson(seen, PLACE)) }));
    const zooms = PLACE[0].toString();
    const options = ["--layer", `${layer.name}=${input}`, "--output", output, "--min-zoom", zooms, "--max-zoom", zooms];
    execFileSync(binary, ["tiles", "build", ...options], { stdio: "pipe" });
    const archive = await openArchive(output);
    const again = witnessed(new Uint8Array((await archive.getZxy(...PLACE)).data));
    await archive.close();
    const sorted = (list) => list.map(held).sort();
    assert.deepEqual(sorted(again), sorted(features), `${name}, ${description}`);
    for (const { feature, layer } of again) assert.deepEqual([layer.version, layer.extent], [2, 4096], `${feature.id}`);
    const ids = (list) => list.map(({ feature }) => feature.id).sort();
    if (features.every(({ feature }) => feature.id)) assert.deepEqual(ids(again), ids(features), `${name}, ${description}`);
    encoded++;
  }
  assert.ok(encoded >= 39, `${encoded} fixtures`);
});
