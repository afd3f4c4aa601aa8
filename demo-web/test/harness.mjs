// The real server, a real browser, and what a test does with them.
//
// WATERSMEET_BIN, WATERSMEET_WEB and WATERSMEET_TILES name the binary, the built app and the folder of tiles;
// CHROMIUM the browser. Screenshots are put into target/screenshots.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { open as openFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { PMTiles } from "pmtiles";
import { PNG } from "pngjs";

const demo = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(demo);
// As cargo in the repository's root takes it.
const target = resolve(root, process.env.CARGO_TARGET_DIR ?? "target");
const screenshots = join(root, "target/screenshots");
mkdirSync(screenshots, { recursive: true });

/** The binary under test. */
export const binary = process.env.WATERSMEET_BIN ?? join(target, "debug/watersmeet");
const web = process.env.WATERSMEET_WEB ?? join(demo, "dist");
const tiles = process.env.WATERSMEET_TILES ?? join(target, "test-tiles");

/** How long anything may take before a test is said to have failed. Nothing is measured by it. */
export const PATIENCE_MILLIS = 60_000;

/** A server over a folder of its own, which can be killed and started again on its port. */
export class Server {
  #data = mkdtempSync(join(tmpdir(), "watersmeet-browser-test-"));
  #child;
  #options;
  url;

  /** Open to everybody, unless it is given a key. */
  static async start(...options) {
    const server = new Server();
    server.#options = options.includes("--key") ? options : ["--open", ...options];
    await server.start();
    return server;
  }

  async start() {
    const listen = this.url ? new URL(this.url).host : "127.0.0.1:0";
    const options = ["serve", ...this.#options, "--listen", listen, "--data", this.#data, "--web", web];
    if (existsSync(tiles) && !options.includes("--tiles")) options.push("--tiles", tiles);
    this.#child = spawn(binary, options, { stdio: ["ignore", "pipe", "inherit"] });
    this.url = await new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
      createInterface(this.#child.stdout).on("line", (line) => {
        const url = /listening on (http:\/\/\S+)/.exec(line)?.[1];
        if (url) resolve(url);
      });
    });
  }

  /** Ends it as a power cut does. */
  async kill() {
    await this.#end("SIGKILL");
  }

  async close() {
    await this.#end("SIGTERM");
    rmSync(this.#data, { recursive: true, force: true });
  }

  async #end(signal) {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }
}

/** Makes a key in a folder; answers with the file for servers, and with what makes tokens with it. */
export function makeKey(folder) {
  const stem = join(folder, "key");
  const run = (...args) => execFileSync(binary, ["token", ...args], { encoding: "utf8" }).trim();
  run("key", "--out", stem);
  return { key: `${stem}.pub.jwk`, token: (subject, ...rights) => run("--key", `${stem}.jwk`, "--subject", subject, ...rights) };
}

export function launch() {
  const candidates = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const executablePath = process.env.CHROMIUM ?? candidates.find(existsSync);
  const quiet = ["--disable-background-networking", "--no-first-run", "--disable-sync", "--disable-component-update"];
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath, args: [...quiet, ...sandbox, "--enable-unsafe-swiftshader"] });
}

/** A page with MapLibre, as `window.library`, and nothing else but `#map`. */
export function serveMapLibre(pixels) {
  const library = dirname(createRequire(import.meta.url).resolve("maplibre-gl/dist/maplibre-gl.css"));
  const html = `<!doctype html><style>body{margin:0}</style><div id="map" style="width:${pixels}px;height:${pixels}px"></div>
    <script type="module">import * as library from "./maplibre-gl.mjs"; library.setWorkerUrl("./maplibre-gl-worker.mjs"); window.library = library;</script>`;
  const served = createServer((request, response) => {
    const file = join(library, basename(request.url));
    const isPage = request.url === "/";
    if (!isPage && !existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": isPage ? "text/html" : "text/javascript" });
    response.end(isPage ? html : readFileSync(file));
  });
  return new Promise((resolve) => served.listen(0, "127.0.0.1", () => resolve(served)));
}

/** Everything that pages asked for elsewhere than at their own server. */
export const elsewhere = [];

/** A browser of somebody's own, with a name. Whatever it asks for elsewhere is refused and noted. */
export async function person(browser, server, name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(PATIENCE_MILLIS);
  await context.route(
    (url) => !isOwn(url, server),
    (route) => {
      elsewhere.push(route.request().url());
      return route.abort();
    },
  );
  context.on("request", (request) => {
    if (!isOwn(new URL(request.url()), server)) elsewhere.push(request.url());
  });
  context.on("weberror", (error) => console.error(`${name}'s page:`, error.error()));
  const hue = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0) * 47, 0) % 360;
  await context.addInitScript((me) => {
    if (location.protocol !== "http:") return;
    if (!localStorage.getItem("watersmeet-demo.me")) localStorage.setItem("watersmeet-demo.me", JSON.stringify(me));
  }, { name, hue });
  return context;
}

function isOwn(url, server) {
  return ["data:", "blob:", "about:", "chrome-error:"].includes(url.protocol) || url.host === new URL(server.url).host;
}

/** Opens a map, and waits until its document can be edited. */
export async function open(context, server, map, token) {
  const page = await context.newPage();
  await page.goto(`${server.url}/?map=${map}${token ? `#token=${token}` : ""}`);
  await ready(page);
  return page;
}

export async function ready(page) {
  await page.waitForFunction(() => window.watersmeet !== undefined);
}

/** Waits until the map has drawn all that it has to draw. */
export async function drawn(page) {
  await ready(page);
  await page.evaluate(
    () =>
      new Promise((resolve) => {
        const { map } = window.watersmeet;
        const look = () => (map.loaded() && map.areTilesLoaded() && !map.isMoving() ? resolve() : map.once("idle", look));
        map.triggerRepaint();
        map.once("idle", look);
      }),
  );
}

export async function screenshot(page, name) {
  return PNG.sync.read(await page.screenshot({ path: join(screenshots, `${name}.png`) }));
}

/** The colour of a screenshot at a place of the map, as [red, green, blue]. */
export async function colourAt(page, image, lngLat) {
  const { x, y } = await page.evaluate((at) => window.watersmeet.map.project(at), lngLat);
  const scale = image.width / page.viewportSize().width;
  const index = (Math.round(y * scale) * image.width + Math.round(x * scale)) * 4;
  return [...image.data.subarray(index, index + 3)];
}

export const hash = (page) => page.evaluate(() => window.watersmeet.doc.hash());
export const status = (page) => page.evaluate(() => window.watersmeet.doc.status);
export const json = (page) => page.evaluate(() => window.watersmeet.doc.toJSON());

/** Waits until everything in the document is on the server's disk. */
export async function synced(page) {
  await page.evaluate(() => window.watersmeet.doc.synced());
  await page.getByRole("status").filter({ hasText: "All changes saved on the server" }).waitFor();
}

/** Waits until all pages have one and the same document, which is on the server. */
export async function converged(...pages) {
  for (let round = 0; ; round++) {
    for (const page of pages) await synced(page);
    const hashes = await Promise.all(pages.map(hash));
    if (new Set(hashes).size === 1) return;
    if (round > 400) throw new Error(`these stay apart: ${hashes.join(" ")}`);
    await pages[0].waitForTimeout(50);
  }
}

export async function goOffline(page) {
  await page.getByRole("switch", { name: "Work offline" }).check();
  await page.waitForFunction(() => window.watersmeet.client.connection === "offline");
}

export async function goOnline(page) {
  await page.getByRole("switch", { name: "Work offline" }).uncheck();
}

/** Adds a place in the middle of the map as somebody would who has no mouse; answers with its id. */
export async function addPlace(page, name) {
  const before = new Set(await page.evaluate(() => window.watersmeet.doc.keys(["places"])));
  await page.locator("canvas").first().focus();
  await page.keyboard.press("n");
  await page.keyboard.press("Enter");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "All places" }).click();
  const ids = await page.evaluate(() => window.watersmeet.doc.keys(["places"]));
  return ids.find((id) => !before.has(id));
}

/** Opens a place's card from the list. */
export async function select(page, name) {
  const back = page.getByRole("button", { name: "All places" });
  if (await back.isVisible()) await back.click();
  await page.locator("#views .item", { hasText: name }).first().click();
  await page.locator(".card").waitFor();
}

/** All that a card says. */
export async function card(page, name) {
  await select(page, name);
  return page.evaluate(() => ({
    name: document.querySelector(".card input.name").value,
    where: document.querySelector(".card .where").textContent,
    votes: document.querySelector(".card output").textContent,
    tags: [...document.querySelectorAll(".card .tag")].map((tag) => tag.dataset.tag),
    notices: [...document.querySelectorAll(".card .notice p")].map((notice) => notice.textContent),
  }));
}

/** An archive on the disk, as a reader of archives that is not ours reads it. */
export async function openArchive(path) {
  const file = await openFile(path);
  const getBytes = async (offset, length) => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
    return { data: buffer.buffer.slice(0, bytesRead) };
  };
  return Object.assign(new PMTiles({ getBytes, getKey: () => path }), { close: () => file.close() });
}
