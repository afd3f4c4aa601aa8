// Renders tiles with geojson-vt and vt-pbf, and says what each took:
//   node geojson-vt.mjs NAME FILE.geojson MAX_ZOOM < "z x y" lines > JSON
//
// Cold: a tile that is not in the index is cut from what the first pass left (zoom 5 at the deepest, as geojson-vt does
// unless told otherwise), and forgotten again, so that no tile is found because its neighbour was asked for.
import { readFileSync } from 'node:fs';
import GeoJSONVT from 'geojson-vt';
import vtpbf from 'vt-pbf';

const [name, file, maxZoom] = process.argv.slice(2);
const tiles = readFileSync(0, 'utf8').trim().split('\n').map((line) => line.split(' ').map(Number));
const data = JSON.parse(readFileSync(file, 'utf8'));

const start = performance.now();
const index = new GeoJSONVT(data, { maxZoom: +maxZoom });
const indexing = performance.now() - start;

const first = new Set(Object.keys(index.tiles));
const kept = [...first].map((id) => [index.tiles[id], index.tiles[id].source]);

function forget() {
  for (const id of Object.keys(index.tiles)) if (!first.has(id)) delete index.tiles[id];
  for (const [tile, source] of kept) tile.source = source;
  index.tileCoords.length = first.size;
}

function render(z, x, y) {
  const start = performance.now();
  const tile = index.getTile(z, x, y);
  const bytes = tile ? vtpbf.fromGeojsonVt({ [name]: tile }, { version: 2 }).length : 0;
  return { us: (performance.now() - start) * 1e3, features: tile?.features.length ?? 0, bytes };
}

// The compiler of JavaScript gets to know the code first.
for (const tile of tiles.slice(0, 200)) {
  render(...tile);
  forget();
}
const cold = tiles.map((tile) => {
  const answer = render(...tile);
  forget();
  return answer;
});
console.log(JSON.stringify({ indexing, memory: process.resourceUsage().maxRSS * 1024, cold }));
