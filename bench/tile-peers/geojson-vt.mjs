// Renders tiles with geojson-vt and vt-pbf, and says what each took:
//   node geojson-vt.mjs NAME FILE.geojson MAX_ZOOM < "z x y" lines > JSON
//
// Each tile is asked for once, by an index that has never seen it but may have cut its ancestors for the tiles before it,
// as when a map is used.
import { readFileSync } from 'node:fs';
import GeoJSONVT from 'geojson-vt';
import vtpbf from 'vt-pbf';

const [name, file, maxZoom] = process.argv.slice(2);
const tiles = readFileSync(0, 'utf8').trim().split('\n').map((line) => line.split(' ').map(Number));
const data = JSON.parse(readFileSync(file, 'utf8'));

function render(index, [z, x, y]) {
  const start = performance.now();
  const tile = index.getTile(z, x, y);
  const bytes = tile ? vtpbf.fromGeojsonVt({ [name]: tile }, { version: 2 }).length : 0;
  return { us: (performance.now() - start) * 1e3, features: tile?.features.length ?? 0, bytes };
}

// The compiler of JavaScript gets to know the code first, on another index.
const few = new GeoJSONVT({ ...data, features: data.features.slice(0, 5000) }, { maxZoom: +maxZoom });
for (const tile of tiles) render(few, tile);

const start = performance.now();
const index = new GeoJSONVT(data, { maxZoom: +maxZoom });
const indexing = performance.now() - start;
const answers = tiles.map((tile) => render(index, tile));
console.log(JSON.stringify({ indexing, memory: process.resourceUsage().maxRSS * 1024, answers }));
