// What somebody sees who may not do everything, in a real browser, against the real server.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, addPlace, json, launch, makeKey, open, person, status, synced } from "./harness.mjs";

const folder = mkdtempSync(join(tmpdir(), "watersmeet-browser-keys-"));
let keys;
let server;
let browser;

before(async () => {
  keys = makeKey(folder);
  server = await Server.start("--key", keys.key);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

const places = async (page) => Object.values((await json(page))?.places ?? {}).map(({ name }) => name).sort();

test("a reader's edit is shown as refused, is kept, and arrives once the right is given", async () => {
  const alice = await person(browser, server, "Alice");
  const bob = await person(browser, server, "Bob");
  try {
    const hers = await open(alice, server, "rights", keys.token("alice", "--write", "rights"));
    assert.ok(!hers.url().includes("token"), "the token stays out of the address");
    await addPlace(hers, "Old mill");
    await synced(hers);

    const his = await open(bob, server, "rights", keys.token("bob", "--read", "rights"));
    await his.locator("#views .item", { hasText: "Old mill" }).waitFor();
    await addPlace(his, "Bob's barn");
    await his.getByRole("status").filter({ hasText: "no right to write" }).waitFor();
    const shown = await status(his);
    assert.equal(shown.refused.code, "forbidden");
    assert.deepEqual([shown.onServer, shown.onDevice, shown.live], [false, true, true]);
    // He goes on hearing of the others, and a reload changes nothing of it.
    await addPlace(hers, "New mill");
    await his.locator("#views .item", { hasText: "New mill" }).waitFor();
    await his.reload();
    await his.getByRole("status").filter({ hasText: "no right to write" }).waitFor();
    assert.deepEqual(await places(his), ["Bob's barn", "New mill", "Old mill"]);
    assert.deepEqual(await places(hers), ["New mill", "Old mill"]);

    const again = await open(bob, server, "rights", keys.token("bob", "--write", "rights"));
    await his.close();
    await synced(again);
    await hers.locator("#views .item", { hasText: "Bob's barn" }).waitFor();
  } finally {
    await alice.close();
    await bob.close();
  }
});

test("whoever has no token can edit on the device, and is told why nothing leaves it", async () => {
  const stranger = await person(browser, server, "Stranger");
  try {
    const page = await open(stranger, server, "rights");
    await addPlace(page, "Nowhere");
    await page.getByRole("status").filter({ hasText: "a token is needed" }).waitFor();
    const { onServer, onDevice } = await status(page);
    assert.deepEqual([onServer, onDevice], [false, true]);
    assert.equal(await page.evaluate(() => window.watersmeet.client.problem !== null), true);
  } finally {
    await stranger.close();
  }
});
