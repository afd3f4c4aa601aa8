// What the service worker keeps and forgets, with caches and a network that are made up.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import vm from "node:vm";

const source = await readFile(new URL("../public/sw.js", import.meta.url), "utf8");
const HOST = "http://map.test";

class FakeCache {
  #kept = new Map();
  listings = 0;
  async put(request, response) { this.#kept.set(key(request), response); }
  async match(request) { return this.#kept.get(key(request))?.clone(); }
  async delete(request) { return this.#kept.delete(key(request)); }
  async keys() {
    this.listings++;
    return this.paths().map((path) => new Request(HOST + path));
  }
  paths() { return [...this.#kept.keys()]; }
}

const key = (request) => (typeof request === "string" ? request : new URL(request.url).pathname);

/** The worker of an app in the folder `home`, over a server that serves `files`. */
function worker(files, home = "/") {
  const [caches, handlers] = [new Map(), new Map()];
  const open = (name) => caches.get(name) ?? caches.set(name, new FakeCache()).get(name);
  const scope = {
    URL, Request, Response, Map, Promise,
    caches: { open: async (name) => open(name), match: async () => undefined },
    fetch: async (request) => {
      const file = files(key(request));
      if (file === undefined) return Promise.reject(new TypeError("no network"));
      return new Response(file, { headers: { "content-type": file.startsWith("{") ? "application/json" : "text/html" } });
    },
    self: { location: new URL(`${HOST}${home}sw.js`), addEventListener: (type, handle) => handlers.set(type, handle) },
  };
  vm.runInNewContext(source, scope);
  const tell = async (type, event) => {
    let answer;
    const note = (promise) => { answer = promise; };
    handlers.get(type)({ ...event, waitUntil: note, respondWith: note });
    await answer;
  };
  return {
    cache: open,
    get: (path, mode = "cors") => tell("fetch", { request: { url: HOST + path, method: "GET", mode } }),
    load: (...paths) => tell("message", { data: paths.map((path) => HOST + path) }),
  };
}

/** A page that names a script, which names a module and, for later, a part. */
const release = (version) => ({
  "/": `<script src="/assets/index-${version}.js"></script><link href="/assets/app-1.css">`,
  [`/assets/index-${version}.js`]: `load("/assets/core-${version}.wasm"); import("./later-${version}.js")`,
  [`/assets/core-${version}.wasm`]: "bytes",
  [`/assets/later-${version}.js`]: "",
  "/assets/app-1.css": "",
  "/icon.svg": "<svg/>",
});

async function visit(from, version) {
  await from.get("/", "navigate");
  await from.load(`/assets/index-${version}.js`, `/assets/core-${version}.wasm`, "/assets/app-1.css", "/icon.svg");
}

test("of an earlier release nothing stays but what this one needs too", async () => {
  let files = release("a");
  const phone = worker((path) => files[path]);
  await visit(phone, "a");
  await phone.get("/assets/later-a.js");
  await visit(phone, "a");
  assert.deepEqual(new Set(phone.cache("app-1").paths()), new Set(Object.keys(release("a"))));
  files = release("b");
  await visit(phone, "b");
  await phone.get("/assets/later-b.js");
  assert.deepEqual(new Set(phone.cache("app-1").paths()), new Set(Object.keys(release("b"))));
});

test("below a path, what is the app's is kept and forgotten, and what is elsewhere is not touched", async () => {
  const below = (files) => Object.fromEntries(Object.entries(files).map(([path, text]) => [`/maps${path}`, text]));
  let files = below(release("a"));
  const phone = worker((path) => files[path], "/maps/");
  const load = (version) => phone.load(`/maps/assets/index-${version}.js`, `/maps/assets/core-${version}.wasm`, "/maps/assets/app-1.css", "/maps/icon.svg");
  await phone.cache("app-1").put("/assets/other.js", new Response("another app's"));
  await phone.get("/maps/", "navigate");
  await load("a");
  files = below(release("b"));
  await phone.get("/maps/", "navigate");
  await load("b");
  await phone.get("/maps/assets/later-b.js");
  assert.deepEqual(new Set(phone.cache("app-1").paths()), new Set([...Object.keys(below(release("b"))), "/assets/other.js"]));
});

test("a document's JSON is not kept as the page", async () => {
  const files = { ...release("a"), "/docs/x": "{}" };
  const phone = worker((path) => files[path]);
  await phone.get("/", "navigate");
  await phone.get("/docs/x", "navigate");
  assert.equal(await (await phone.cache("app-1").match("/")).text(), files["/"]);
});

test("nothing is forgotten while a part of the new release is missing", async () => {
  const files = release("a");
  const phone = worker((path) => files[path]);
  await visit(phone, "a");
  Object.assign(files, release("b"), { "/assets/index-b.js": undefined });
  await visit(phone, "b");
  assert(phone.cache("app-1").paths().includes("/assets/core-a.wasm"));
});

test("the tiles that were seen longest ago are forgotten, without listing all at each", async () => {
  const phone = worker(() => "tile");
  for (let x = 0; x < 2_301; x++) await phone.get(`/tiles/base/1/12/${x}/0`);
  const tiles = phone.cache("tiles-1");
  assert.equal(tiles.paths().length, 2_000);
  assert.equal(tiles.paths().at(-1), "/tiles/base/1/12/2300/0");
  assert.equal(tiles.listings, 24);
});
