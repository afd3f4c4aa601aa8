// What a document's keeper stores, and when, over a store that is made up.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, test } from "node:test";
import { Doc } from "../dist/doc.js";
import { Keeper } from "../dist/keeper.js";
import { createRawClient, init } from "../dist/module.js";

before(async () => {
  await init({ module: await readFile(new URL("../wasm/watersmeet_wasm_bg.wasm", import.meta.url)) });
});

/** A document that is kept in `store`. */
function kept(store) {
  const raw = createRawClient(1, true);
  raw.open("map", [], undefined);
  const doc = new Doc("map", { raw, poll() {}, edited() {} });
  const events = { stored() {}, problem() {}, crowded: async () => {}, changed: () => doc.report() };
  doc.keepBy(new Keeper("map", raw, store, events));
  return doc;
}

/** Rejects where there would be no end to it. */
const soon = (promise, what) =>
  Promise.race([promise, new Promise((_, reject) => setTimeout(reject, 2_000, new Error(`${what} never came`)))]);

/** `promise`, after so many turns of the queue of microtasks. */
async function after(turns, promise) {
  await promise;
  for (let turn = 0; turn < turns; turn++) await undefined;
}

// A keeper that had found nothing more to do was taken for busy for some microtasks more. Whoever had awaited
// `saved()` inside an async function edited in just that gap, and the edit was not stored until the next one.
test("an edit at whatever moment after the last was saved is saved too", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const stored = [];
    const doc = kept({ write: async (_, { deltas }) => void stored.push(...deltas) });
    const rename = async (name) => {
      doc.edit((tx) => tx.set(["name"], name));
      await after(turns, doc.saved());
    };
    for (const name of ["Mill", "Old mill", "Water mill"]) await soon(rename(name), `"${name}" after ${turns} turns`);
    assert.equal(stored.length, 3);
  }
});
