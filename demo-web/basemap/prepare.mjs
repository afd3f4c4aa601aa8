// Writes the base map's layers as newline-delimited GeoJSON, ready for `watersmeet tiles build`.
//   node prepare.mjs OUT_FOLDER
// Needs the npm packages world-atlas 2.0.2 and topojson-client 3. Where everything comes from: see README.md here.
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [out] = process.argv.slice(2);
if (!out) {
  console.error('usage: node prepare.mjs OUT_FOLDER');
  process.exit(2);
}
mkdirSync(out, { recursive: true });

const require = createRequire(import.meta.url);
const { feature, mesh } = require('topojson-client');
const atlas = name => require(`world-atlas/${name}.json`);

/** The world square's edge in degrees of latitude; beyond it there is nothing to draw. */
const EDGE = 85.06;

const write = (name, features) => {
  writeFileSync(join(out, `${name}.geojsonl`), features.map(f => JSON.stringify(f) + '\n').join(''));
  console.log(`${name}: ${features.length} features`);
};

const line = (type, coordinates, properties, id) => ({
  type: 'Feature',
  ...(id === undefined ? {} : { id }),
  properties,
  geometry: { type, coordinates },
});

/** TopoJSON's rounding puts the antimeridian a hair's breadth beyond 180 degrees. */
const onEarth = ([x, y]) => [Math.max(-180, Math.min(180, x)), Math.max(-90, Math.min(90, y))];

/**
 * world-atlas joins rings across the antimeridian and around the pole, as they lie on a globe; on a flat map they have to be cut there
 * (RFC 7946, 3.1.9). First the ring is walked on without a jump, beyond 180 degrees if it goes there; a ring around a pole does not come
 * back to where it began, and is closed along the pole.
 */
function unrolled(ring) {
  let turn = 0;
  const open = ring.slice(0, -1).map(onEarth);
  const walked = open.map(([x, y], i) => {
    const step = i ? x - open[i - 1][0] : 0;
    if (Math.abs(step) > 180) turn -= Math.sign(step) * 360;
    return [x + turn, y];
  });
  const home = open[0][0] - open.at(-1)[0];
  if (Math.abs(home) > 180) turn -= Math.sign(home) * 360;
  if (turn === 0) return walked;
  const pole = open.reduce((sum, [, y]) => sum + y, 0) < 0 ? -90 : 90;
  const [x, y] = open[0];
  return [...walked, [x + turn, y], [x + turn, pole], [x, pole]];
}

/** The part of a ring on one side of a meridian (Sutherland and Hodgman). */
function half(ring, meridian, east) {
  const within = ([x]) => (east ? x >= meridian : x <= meridian);
  return ring.flatMap((point, i) => {
    const before = ring.at(i - 1);
    if (within(point) === within(before)) return within(point) ? [point] : [];
    const y = before[1] + ((point[1] - before[1]) * (meridian - before[0])) / (point[0] - before[0]);
    return within(point) ? [[meridian, y], point] : [[meridian, y]];
  });
}

/** The pieces of a ring in each turn around the globe, all put between -180 and 180 degrees, and closed. */
const cutRing = ring =>
  [-360, 0, 360].flatMap(turn => {
    const piece = half(half(unrolled(ring), turn - 180, true), turn + 180, false);
    return piece.length < 3 ? [] : [[...piece, piece[0]].map(([x, y]) => [x - turn, y])];
  });

function cutPolygon([outer, ...holes]) {
  const pieces = cutRing(outer).map(ring => [ring]);
  for (const hole of holes.flatMap(cutRing)) {
    const probe = hole.find(([x]) => Math.abs(x) < 180);
    (pieces.find(([ring]) => probe && inside([ring], probe)) ?? pieces[0]).push(hole);
  }
  return pieces;
}

const polygonsOf = geometry =>
  (geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates).flatMap(cutPolygon);

const atAntimeridian = rings => rings[0].some(([x]) => Math.abs(x) === 180);

/**
 * One feature a polygon, so that a tile's features are what is in the tile. Only the polygons that were cut at
 * the antimeridian stay together: as one feature their halves become one again, and no coast is drawn along the cut.
 */
function land() {
  const world = atlas('land-10m');
  const collection = feature(world, world.objects.land);
  const polygons = (collection.features ?? [collection]).flatMap(f => polygonsOf(f.geometry));
  const whole = polygons.filter(rings => !atAntimeridian(rings));
  return [
    line('MultiPolygon', polygons.filter(atAntimeridian), {}, 1),
    ...whole.map((rings, index) => line('Polygon', rings, {}, index + 2)),
  ];
}

/** The borders between countries, each once; coasts are none. */
function borders() {
  const world = atlas('countries-10m');
  const lines = mesh(world, world.objects.countries, (a, b) => a !== b).coordinates;
  const jumps = lines.some(points => points.some(([x], i) => i && Math.abs(x - points[i - 1][0]) > 180));
  if (jumps) throw new Error('a border crosses the antimeridian, and nothing here cuts lines');
  return lines.map((points, index) => line('LineString', points.map(onEarth), {}, index + 1));
}

/** Web mercator, the world from 0 to 1: areas and places as they look on the map. */
function mercator([lon, lat]) {
  const sine = Math.sin((Math.max(-EDGE, Math.min(EDGE, lat)) * Math.PI) / 180);
  return [lon / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
}

function unproject([x, y]) {
  const round = degrees => Math.round(degrees * 1e5) / 1e5;
  return [round((x - 0.5) * 360), round((Math.atan(Math.sinh((1 - 2 * y) * Math.PI)) * 180) / Math.PI)];
}

const area = ring =>
  Math.abs(ring.reduce((sum, [x, y], i) => sum + ring.at(i - 1)[0] * y - x * ring.at(i - 1)[1], 0)) / 2;

function inside(rings, [x, y]) {
  let odd = false;
  for (const ring of rings)
    ring.forEach(([ax, ay], i) => {
      const [bx, by] = ring.at(i - 1);
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
    });
  return odd;
}

function distanceToEdge(rings, [x, y]) {
  let least = Infinity;
  for (const ring of rings)
    ring.forEach(([ax, ay], i) => {
      const [bx, by] = ring.at(i - 1);
      const [dx, dy] = [bx - ax, by - ay];
      const along = dx || dy ? Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy))) : 0;
      least = Math.min(least, (ax + along * dx - x) ** 2 + (ay + along * dy - y) ** 2);
    });
  return Math.sqrt(least);
}

/** The point of a grid over the polygon that lies deepest inside, refined around the best one a few times. */
function deepest(rings) {
  let [west, north, east, south] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of rings[0])
    [west, north, east, south] = [Math.min(west, x), Math.min(north, y), Math.max(east, x), Math.max(south, y)];
  let best = { depth: -1, at: rings[0][0] };
  let [middle, half] = [[(west + east) / 2, (north + south) / 2], [(east - west) / 2, (south - north) / 2]];
  const steps = 12;
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i <= steps; i++)
      for (let j = 0; j <= steps; j++) {
        const at = [middle[0] + half[0] * ((2 * i) / steps - 1), middle[1] + half[1] * ((2 * j) / steps - 1)];
        if (!inside(rings, at)) continue;
        const depth = distanceToEdge(rings, at);
        if (depth > best.depth) best = { depth, at };
      }
    [middle, half] = [best.at, half.map(h => (h * 2) / steps)];
  }
  return best.at;
}

/** A label shows from the zoom at which its country's largest part is about this wide, in pixels of a 512-pixel tile. */
const LABEL_PIXELS = 40;

/** Each country's name deep inside its largest part. `rank` counts by area on the map, 0 is the largest. */
function countries() {
  const world = atlas('countries-10m');
  const named = feature(world, world.objects.countries).features.filter(f => f.geometry && f.properties.name);
  const labels = named.map(f => {
    const parts = polygonsOf(f.geometry).map(rings => ({ rings, flat: rings.map(ring => ring.map(mercator)) }));
    const largest = parts.reduce((a, b) => (area(b.flat[0]) > area(a.flat[0]) ? b : a));
    const degrees = +area(largest.rings[0]).toFixed(3);
    return { name: f.properties.name, iso: f.id, degrees, area: area(largest.flat[0]), at: unproject(deepest(largest.flat)) };
  });
  labels.sort((a, b) => b.area - a.area);
  return labels.map(({ name, iso, degrees, area, at }, rank) => {
    const zoom = Math.ceil(Math.log2(LABEL_PIXELS / 512 / Math.sqrt(area)));
    const min_zoom = Math.max(0, Math.min(9, zoom));
    return line('Point', at, { name, ...(iso ? { iso } : {}), rank, area: degrees, min_zoom }, Number(iso) || 1000 + rank);
  });
}

const cities = () =>
  JSON.parse(readFileSync(new URL('cities.geojson', import.meta.url), 'utf8')).features;

write('land', land());
write('borders', borders());
write('countries', countries());
write('cities', cities());
