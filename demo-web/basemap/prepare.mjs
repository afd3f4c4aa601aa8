// Writes the base map's layers as newline-delimited GeoJSON, from Natural Earth.
//   node prepare.mjs OUT_FOLDER
// Needs the npm packages world-atlas and topojson-client, which the demo's package.json lists. Provenance: README.md.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { feature, mesh } from "topojson-client";

const [out] = process.argv.slice(2);
if (!out) {
  console.error("usage: node prepare.mjs OUT_FOLDER");
  process.exit(2);
}
mkdirSync(out, { recursive: true });
const require = createRequire(import.meta.url);
const landAtlas = require("world-atlas/land-10m.json");
const atlas = require("world-atlas/countries-10m.json");

/** A millionth of a degree is a decimetre; the atlas is not that exact. */
const round = (coordinates) =>
  typeof coordinates === "number" ? +coordinates.toFixed(6) : coordinates.map(round);

function write(layer, features) {
  const lines = features.map(({ type, properties, geometry }) =>
    JSON.stringify({ type, properties, geometry: { ...geometry, coordinates: round(geometry.coordinates) } }),
  );
  writeFileSync(join(out, `${layer}.geojsonl`), lines.join("\n") + "\n");
  console.log(`${layer}: ${features.length} features`);
}

/** Twice the signed area of a ring, in square degrees. */
const area = (ring) => ring.reduce((sum, [x, y], i) => sum + ring.at(i - 1)[0] * y - x * ring.at(i - 1)[1], 0);

const polygons = (geometry) => (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates);

/** The middle of the widest stretch of a polygon at the height of its centre: a point that is inside. */
function pointInside([outer, ...holes]) {
  const ys = outer.map(([, y]) => y);
  const height = (Math.min(...ys) + Math.max(...ys)) / 2 + 1e-7;
  const crossings = [outer, ...holes].flatMap((ring) =>
    ring.flatMap(([x, y], i) => {
      const [u, v] = ring.at(i - 1);
      return y > height === v > height ? [] : [u + ((height - v) / (y - v)) * (x - u)];
    }),
  );
  crossings.sort((a, b) => a - b);
  let widest = [0, 0];
  for (let i = 0; i + 1 < crossings.length; i += 2) {
    if (crossings[i + 1] - crossings[i] > widest[1] - widest[0]) widest = [crossings[i], crossings[i + 1]];
  }
  return [(widest[0] + widest[1]) / 2, height];
}

// Each piece of land by itself, so that a small island is a small feature.
const land = feature(landAtlas, landAtlas.objects.land);
const pieces = (land.features ?? [land]).flatMap((f) => polygons(f.geometry));
write("land", pieces.map((coordinates) => ({ type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates } })));

// A border is an arc that two countries share; coasts are not borders.
const borders = mesh(atlas, atlas.objects.countries, (a, b) => a !== b).coordinates;
write("borders", borders.map((coordinates) => ({ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates } })));

// A country's name stands inside its largest piece; larger countries are named at smaller zooms.
const named = feature(atlas, atlas.objects.countries).features.filter((f) => f.geometry && f.properties.name);
const labels = named.map((f) => {
  const largest = polygons(f.geometry).reduce((a, b) => (Math.abs(area(a[0])) >= Math.abs(area(b[0])) ? a : b));
  const degrees = Math.abs(area(largest[0])) / 2;
  const zoom = [200, 30, 6, 1, 0.1].findIndex((least) => degrees >= least);
  return {
    type: "Feature",
    properties: { name: f.properties.name, area: +degrees.toFixed(3), min_zoom: zoom < 0 ? 6 : zoom + 1 },
    geometry: { type: "Point", coordinates: pointInside(largest) },
  };
});
write("countries", labels.sort((a, b) => b.properties.area - a.properties.area));

const cities = JSON.parse(readFileSync(new URL("cities.geojson", import.meta.url), "utf8")).features;
write("cities", cities.sort((a, b) => a.properties.rank - b.properties.rank));
