// Keeps the app and the tiles that were seen, so that the page opens without a network. Documents are no concern of
// its: they are in IndexedDB.

/** The app's folder, which may be below a path. */
const HOME = new URL("./", self.location).pathname;
const APP = "app-1";
const TILES = "tiles-1";
const TILES_MAX = 2_000;
/** How many tiles are kept between two looks at whether there are too many. */
const TILES_BETWEEN = 100;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(APP).then((cache) => cache.add(HOME)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(self.clients.claim());
});

// What the page had loaded before this worker was there.
self.addEventListener("message", (event) => {
  event.waitUntil(keepLoaded(event.data));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (isForEver(url)) event.respondWith(keptFirst(request));
  else if (request.mode === "navigate" || isKept(url)) event.respondWith(networkFirst(request));
});

/** Within the app's folder; elsewhere on the host are others'. */
function pathOf(url) {
  return url.pathname.startsWith(HOME) ? url.pathname.slice(HOME.length) : "";
}

/** Addresses that name their content: a hash of the file, or the version of a tile set. */
function isForEver(url) {
  return pathOf(url).startsWith("assets/") || /^tiles\/[^/]+\/[^/]+\/\d+\/\d+\/\d+/.test(pathOf(url));
}

function isKept(url) {
  return /^tiles\/[^/]+\.json$|^(icon\.svg|manifest\.webmanifest)$/.test(pathOf(url));
}

async function keptFirst(request) {
  return (await caches.match(request)) ?? fetchAndKeep(request);
}

async function networkFirst(request) {
  try {
    return await fetchAndKeep(request);
  } catch (error) {
    // One page serves every map: which one is in the query.
    const kept = request.mode === "navigate" ? await caches.match(HOME) : await caches.match(request);
    if (kept) return kept;
    throw error;
  }
}

async function keepLoaded(urls) {
  const responses = await Promise.all(urls.map((url) => fetchAndKeep(new Request(url)).catch(() => undefined)));
  // With a part of this release missing, one cannot tell what belongs to it.
  if (responses.every((response) => response !== undefined)) await forgetReleases();
}

/** Forgets the assets of earlier releases: what is named neither by the page nor by an asset that is. */
async function forgetReleases() {
  const cache = await caches.open(APP);
  const page = await cache.match(HOME);
  if (!page) return;
  const unnamed = new Map();
  for (const request of await cache.keys()) {
    const path = pathOf(new URL(request.url));
    if (path.startsWith("assets/")) unnamed.set(path.slice("assets/".length), request);
  }
  const texts = [await page.text()];
  for (const text of texts) {
    for (const [name, request] of unnamed) {
      if (!text.includes(name)) continue;
      unnamed.delete(name);
      if (/\.(js|css)$/.test(name)) texts.push(await (await cache.match(request)).text());
    }
  }
  for (const request of unnamed.values()) await cache.delete(request);
}

/** Whoever goes to a document's JSON, or to another file, goes to no page of the app. */
function isPage(response) {
  return response.headers.get("content-type")?.startsWith("text/html") ?? false;
}

async function fetchAndKeep(request) {
  const response = await fetch(request);
  if (response.ok && (request.mode !== "navigate" || isPage(response))) {
    const isTile = pathOf(new URL(request.url)).startsWith("tiles/");
    const cache = await caches.open(isTile ? TILES : APP);
    await cache.put(request.mode === "navigate" ? HOME : request, response.clone());
    if (isTile && tilesKept++ % TILES_BETWEEN === 0) await forgetOldest(cache);
  }
  return response;
}

/** Since this worker was started, which browsers do again and again. */
let tilesKept = 0;

async function forgetOldest(cache) {
  const kept = await cache.keys();
  for (const request of kept.slice(0, Math.max(0, kept.length - TILES_MAX))) await cache.delete(request);
}
