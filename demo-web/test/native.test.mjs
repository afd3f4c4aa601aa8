// Two native clients and a browser edit one document at once, and all three end with the same state.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { PATIENCE_MILLIS, Server, hash, launch, open, person } from "./harness.mjs";

const target = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL("../../target", import.meta.url));
const examples = process.env.WATERSMEET_EXAMPLES ?? join(target, "debug/examples");
let browser, server;

before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
});

after(async () => {
  await browser?.close();
  await server?.close();
});

test("two native clients and a browser converge on one document", async () => {
  const page = await open(await person(browser, server, "Carla"), server, "example");
  await page.evaluate(async () => {
    const { doc } = window.watersmeet;
    doc.edit((tx) => tx.set(["mill", "name"], "Old mill").increment(["mill", "votes"], 2).add(["mill", "tags"], "wheel"));
    await doc.synced();
  });

  const { stdout } = await promisify(execFile)(join(examples, "two_replicas"), [`${server.url}/sync`.replace("http", "ws")], {
    timeout: PATIENCE_MILLIS,
  });
  const states = [...stdout.matchAll(/state ([0-9a-f]{32})/g)].map(([, state]) => state);
  assert.equal(states.length, 2, stdout);
  assert.equal(states[0], states[1], "the native clients differ");

  await page.waitForFunction((state) => window.watersmeet.doc.hash() === state, states[0], { timeout: PATIENCE_MILLIS });
  assert.equal(await hash(page), states[0]);
  const mill = await page.evaluate(() => window.watersmeet.doc.toJSON(["mill"]));
  assert.deepEqual(mill, { name: "Water mill", tags: ["ruin", "wheel"], votes: 3 });
});
