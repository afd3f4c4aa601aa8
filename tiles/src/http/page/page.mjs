// The page at /tiles/: every set on a map, what lies under the pointer, and what a tile costs.

import { Map, NavigationControl, Popup, addProtocol, setWorkerUrl } from "./maplibre-gl.mjs";

setWorkerUrl(new URL("./maplibre-gl-worker.mjs", import.meta.url).href);

const sets = JSON.parse(document.getElementById("list").textContent);
const [nav, about, bar] = ["sets", "about", "bar"].map((id) => document.getElementById(id));

/** Bytes on the wire and the encoding of each tile, by its URL. */
const costs = new globalThis.Map();
const COSTS_KEPT = 2_000;

// Tiles are fetched here rather than in the library's worker, so that their size can be told.
addProtocol("counted", async ({ url, type }, { signal }) => {
  const real = new URL(url.slice("counted://".length)).href;
  const response = await fetch(real, { signal });
  if (!response.ok) throw Object.assign(new Error(`${response.status} ${real}`), { status: response.status });
  const data = await response.arrayBuffer();
  const onWire = Number(response.headers.get("content-length")) || data.byteLength;
  if (costs.size > COSTS_KEPT) costs.clear();
  costs.set(real, { bytes: response.status === 204 ? 0 : onWire, encoding: response.headers.get("content-encoding") });
  if (type === "image") return { data: await createImageBitmap(new Blob([data])) };
  return { data };
});

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

function size(bytes) {
  return bytes < 1_000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

let map;
let shown;

function list() {
  if (sets.length === 0) {
    nav.append(element("p", { className: "quiet" }, "No sets are served. Put an archive, NAME.pmtiles, into the server's folder of tiles."));
  }
  for (const set of sets) {
    const zooms = `zooms ${set.minzoom} to ${set.maxzoom}, ${set.format}`;
    const link = element("a", { href: `#set=${encodeURIComponent(set.id)}` }, element("b", {}, set.name), element("small", {}, zooms));
    link.dataset.set = set.id;
    nav.append(link);
  }
}

/** Shows the set that the address names, or the first. */
async function show() {
  const named = new URLSearchParams(location.hash.slice(1)).get("set");
  const set = sets.find((set) => set.id === named) ?? sets[0];
  if (!set || set === shown) return;
  shown = set;
  for (const link of nav.querySelectorAll("a")) {
    if (link.dataset.set === set.id) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  const [style, tilejson] = await Promise.all([set.style, set.tilejson].map(async (url) => (await fetch(url)).json()));
  if (shown !== set) return;
  describe(set, style, tilejson);
  draw(set, style, tilejson);
}

function draw(set, style, tilejson) {
  const source = style.sources[set.id];
  const { tiles, minzoom, maxzoom, bounds, attribution } = tilejson;
  delete source.url;
  Object.assign(source, { tiles: tiles.map((url) => `counted://${url}`), minzoom, maxzoom, bounds });
  if (attribution) source.attribution = attribution;
  map?.remove();
  costs.clear();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  map = new Map({
    container: "map", style, bounds: fitted(bounds), fitBoundsOptions: { padding: 24 },
    maxZoom: Math.min(22, maxzoom + 4), fadeDuration: still ? 0 : 200, attributionControl: { compact: true },
  });
  // For tests, and for whoever opens the console.
  globalThis.map = map;
  map.addControl(new NavigationControl(), "top-right");
  map.on("click", inspect);
  map.on("mousemove", (event) => tell(event.lngLat));
  map.on("move", () => tell(map.getCenter()));
  map.on("idle", () => tell(map.getCenter()));
  map.on("mousemove", (event) => {
    map.getCanvas().style.cursor = under(event.point).length > 0 ? "pointer" : "";
  });
}

/** Beyond these latitudes the map has an edge, and nothing fits the whole world. */
function fitted([west, south, east, north]) {
  return [[Math.max(west, -180), Math.max(south, -75)], [Math.min(east, 180), Math.min(north, 80)]];
}

function under(point) {
  const near = [[point.x - 3, point.y - 3], [point.x + 3, point.y + 3]];
  const seen = new Set();
  return map.queryRenderedFeatures(near).filter((feature) => {
    const key = `${feature.sourceLayer} ${feature.id} ${JSON.stringify(feature.properties)}`;
    return !seen.has(key) && seen.add(key);
  });
}

/** A click says what lies there. */
function inspect({ lngLat, point }) {
  const features = under(point).slice(0, 8);
  if (features.length === 0) return;
  const content = element("div");
  for (const { sourceLayer, id, properties } of features) {
    content.append(element("h3", {}, id === undefined ? sourceLayer : `${sourceLayer} ${id}`));
    const rows = Object.entries(properties).flatMap(([key, value]) => [element("dt", {}, key), element("dd", {}, String(value))]);
    content.append(rows.length > 0 ? element("dl", {}, ...rows) : element("p", { className: "quiet" }, "no attributes"));
  }
  new Popup({ maxWidth: "320px" }).setLngLat(lngLat).setDOMContent(content).addTo(map);
}

/** The zoom, and the tile at a place with its size. */
function tell({ lng, lat }) {
  const { minzoom, maxzoom } = shown;
  const raster = shown.format !== "mvt";
  const zoom = map.getZoom() + (raster ? 1 : 0);
  const z = Math.max(minzoom, Math.min(maxzoom, Math.floor(zoom)));
  const [x, y] = tileAt(lng, lat, z);
  const url = [...costs.keys()].find((url) => new RegExp(`/${z}/${x}/${y}\\.\\w+$`).test(url));
  const cost = costs.get(url);
  const packed = cost?.encoding ? `, ${{ br: "brotli" }[cost.encoding] ?? cost.encoding}` : "";
  const text = cost ? ` · tile ${z}/${x}/${y}: ${cost.bytes === 0 ? "empty" : size(cost.bytes) + packed}` : ` · tile ${z}/${x}/${y}`;
  bar.textContent = `zoom ${map.getZoom().toFixed(1)}${text}`;
}

function tileAt(lng, lat, z) {
  const side = 2 ** z;
  const sine = Math.sin((lat * Math.PI) / 180);
  const along = [lng / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
  return along.map((part, axis) => {
    const at = Math.floor(part * side);
    return axis === 0 ? ((at % side) + side) % side : Math.max(0, Math.min(side - 1, at));
  });
}

function describe(set, style, tilejson) {
  const rows = [
    ["Zooms", set.archive_zoom < set.maxzoom ? `${set.minzoom} to ${set.maxzoom}, rendered on demand from ${set.archive_zoom + 1} on` : `${set.minzoom} to ${set.maxzoom}`],
    ["Version", element("code", {}, set.version)],
  ];
  const facts = rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  about.replaceChildren(
    element("h2", {}, "To use it"), link("TileJSON", set.tilejson), link("Style", set.style),
    element("h2", {}, "About"), element("dl", {}, ...facts),
  );
  const layers = tilejson.vector_layers ?? [];
  if (layers.length > 0) about.append(element("h2", {}, "Layers"), ...layers.map((layer) => toggle(layer, style)));
  const edges = element("input", { type: "checkbox" });
  edges.addEventListener("change", () => { map.showTileBoundaries = edges.checked; });
  about.append(element("h2", {}, "Show"), element("label", {}, edges, element("span", {}, "Tiles' edges")));
}

function link(name, url) {
  return element("div", { className: "copy" }, element("span", { className: "quiet" }, name), element("a", { href: url }, new URL(url).pathname));
}

/** A switch for a layer, in its colour. */
function toggle(layer, style) {
  const drawn = style.layers.filter((of) => of["source-layer"] === layer.id);
  const box = element("input", { type: "checkbox", checked: true });
  box.addEventListener("change", () => {
    for (const { id } of drawn) map.setLayoutProperty(id, "visibility", box.checked ? "visible" : "none");
  });
  const colour = element("i");
  colour.style.background = drawn.find((of) => of.type === "fill")?.paint["fill-color"];
  colour.style.borderColor = drawn.find((of) => of.type === "line")?.paint["line-color"];
  const fields = Object.keys(layer.fields ?? {}).join(", ");
  return element("label", { title: fields ? `Attributes: ${fields}` : "No attributes" }, box, colour, element("span", {}, layer.id));
}

list();
addEventListener("hashchange", show);
await show();
