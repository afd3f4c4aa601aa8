// The package in Node: values, edits, errors, and two clients over an in-process server. What needs IndexedDB is
// shown by the browser test of demo-web.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, test } from "node:test";
import { Client, init } from "../dist/index.js";

before(async () => {
  const module = await readFile(new URL("../wasm/watersmeet_wasm_bg.wasm", import.meta.url));
  await init({ module });
  await init();
});

const open = async (name = "map") => (await Client.create({ database: null })).open(name);

test("values come back as they went in", async () => {
  const doc = await open();
  const values = {
    null: null,
    true: true,
    int: -42,
    largest: Number.MAX_SAFE_INTEGER,
    float: 13.25,
    huge: 1e300,
    nan: NaN,
    big: 2n ** 62n,
    text: "Mühle 🏞",
    bytes: new Uint8Array([0, 255]),
    list: [13.4, [52, "x", null], []],
    empty: "",
  };
  doc.edit((tx) => {
    for (const [name, value] of Object.entries(values)) tx.set(["v", name], value);
  });
  for (const [name, value] of Object.entries(values)) assert.deepEqual(doc.get(["v", name]), value, name);
  assert.equal(doc.get(["v", "none"]), undefined);
  assert.equal(Object.is(doc.get(["v", "zero"]), -0), false);
});

test("registers, counters, sets and maps are edited together", async () => {
  const doc = await open();
  doc.edit((tx) => {
    tx.set(["places", "mill", "name"], "Old mill").increment(["places", "mill", "votes"]).increment(["n"], 41n);
    tx.add(["places", "mill", "tags"], "water").add(["places", "mill", "tags"], "ruin");
  });
  doc.edit((tx) => tx.remove(["places", "mill", "tags"], "ruin").increment(["n"]));
  assert.deepEqual(doc.toJSON(), { n: 42, places: { mill: { name: "Old mill", tags: ["water"], votes: 1 } } });
  assert.deepEqual(doc.keys(["places"]), ["mill"]);
  assert.deepEqual(doc.toJSON(["places", "none"]), undefined);
  doc.edit((tx) => tx.delete(["places", "mill"]));
  assert.deepEqual(doc.toJSON(), { n: 42 });
});

test("of several kinds under one name each can be read", async () => {
  const doc = await open();
  doc.edit((tx) => tx.increment(["x"], 2).add(["x"], "item").set(["x"], "text"));
  assert.deepEqual(doc.toJSON(), { x: "text" });
  assert.deepEqual([doc.get(["x"]), doc.count(["x"]), doc.items(["x"])], ["text", 2, ["item"]]);
  doc.edit((tx) => tx.set(["x", "below"], 1));
  assert.deepEqual(doc.toJSON(), { x: { below: 1 } });
});

test("a key can be named like a property of every object", async () => {
  const doc = await open();
  doc.edit((tx) => tx.set(["__proto__"], "mine").set(["constructor"], 1));
  assert.deepEqual(Object.entries(doc.toJSON()), [["__proto__", "mine"], ["constructor", 1]]);
  assert.equal({}.mine, undefined);
});

test("what is no value, no path or no edit is refused in words, and nothing of it is applied", async () => {
  const doc = await open();
  const before = doc.hash();
  const cyclic = [];
  cyclic.push(cyclic);
  const refused = [
    [(tx) => tx.set(["a", "b"], {}), TypeError, /a\/b: a value is null.*type Object/],
    [(tx) => tx.set(["a"], undefined), TypeError, /undefined/],
    [(tx) => tx.set(["a"], [() => 1]), TypeError, /this is function/],
    [(tx) => tx.set(["a"], Symbol("x")), TypeError, /a: a value is/],
    [(tx) => tx.set(["a"], 2n ** 64n), TypeError, /64-bit bigint/],
    [(tx) => tx.set(["a"], cyclic), TypeError, /nested more than 8 deep/],
    [(tx) => tx.increment(["a"], 0.5), TypeError, /a: a counter is incremented by a whole number/],
    [(tx) => tx.set([], 1), Error, /path is empty/],
    [(tx) => tx.set("a/b", 1), TypeError, /array of strings/],
    [(tx) => tx.set(["a", 7], 1), TypeError, /entry 1 is number/],
    [(tx) => tx.set(Array(33).fill("k"), 1), Error, /more than 32 keys/],
    [(tx) => tx.set(["k".repeat(2000)], 1), Error, /longer than 1024/],
    [() => { throw new RangeError("mine"); }, RangeError, /mine/],
  ];
  for (const [build, type, message] of refused) {
    const whole = () => doc.edit((tx) => (tx.set(["fine"], 1), build(tx)));
    assert.throws(whole, (error) => error instanceof type && message.test(error.message), String(build));
  }
  assert.throws(() => doc.edit(async () => {}), /cannot wait/);
  assert.throws(() => doc.get("a"), TypeError);
  assert.equal(doc.hash(), before);
  doc.edit((tx) => tx.set(["after"], "still works"));
  assert.equal(doc.get(["after"]), "still works");
});

test("a transaction is over when its function returns", async () => {
  const doc = await open();
  let kept;
  doc.edit((tx) => { kept = tx; });
  assert.throws(() => kept.set(["late"], 1), /this edit is over/);
});

test("subscribers hear what changed, and an error of one does not keep it from another", async (t) => {
  const doc = await open();
  const heard = [];
  const later = [];
  t.mock.method(globalThis, "queueMicrotask", (work) => later.push(work));
  doc.subscribe(() => { throw new Error("a listener's"); });
  const unsubscribe = doc.subscribe((event) => heard.push(event));
  doc.edit((tx) => tx.set(["a"], 1).add(["b", "c"], 2));
  assert.equal(later.length, 1);
  assert.throws(later[0], /a listener's/);
  assert.deepEqual(heard, [
    {
      changes: [
        { path: ["a"], kind: "register", what: "written", value: 1, conflicts: 0 },
        { path: ["b", "c"], kind: "set", what: "added", item: 2 },
      ],
      local: true,
    },
  ]);
  unsubscribe();
  doc.edit((tx) => tx.increment(["n"]));
  assert.equal(heard.length, 1);
});

test("in memory nothing is claimed to be on this device or on a server", async () => {
  const doc = await open();
  const seen = [];
  doc.onStatus((status) => seen.push(status));
  doc.edit((tx) => tx.set(["a"], 1));
  assert.deepEqual(doc.status, {
    live: false, onDevice: false, onServer: false, notOnDevice: 1, notOnServer: 1, refused: null, problem: null,
  });
  assert.deepEqual(seen.at(-1), doc.status);
  await assert.rejects(doc.saved(), /no database/);
  await assert.rejects(doc.synced({ signal: AbortSignal.abort(new Error("enough")) }), /enough/);
});

test("without IndexedDB a client works in memory and says so", async () => {
  const client = await Client.create();
  assert.match(client.problem, /Nothing can be kept on this device/);
  assert.equal(client.database, null);
});

test("names and addresses are checked", async () => {
  const client = await Client.create({ database: null });
  assert.throws(() => client.open(""), /not empty/);
  assert.throws(() => client.connect(), /needs a url/);
  assert.equal(await client.open("one"), await client.open("one"));
});

test("two clients that edited one place apart are equal after they meet, in either order", async () => {
  const [anna, ben] = [await open(), await open()];
  anna.edit((tx) => tx.set(["mill", "name"], "Old mill").add(["mill", "tags"], "water").increment(["mill", "votes"]));
  ben.merge(anna.state());
  anna.edit((tx) => tx.set(["mill", "name"], "Water mill").increment(["mill", "votes"]).remove(["mill", "tags"], "water"));
  ben.edit((tx) => tx.set(["mill", "name"], "Ben's mill").increment(["mill", "votes"], 2).add(["mill", "tags"], "water"));
  const heard = [];
  anna.subscribe((event) => heard.push(event.local));
  const fromAnna = anna.state();
  anna.merge(ben.state());
  ben.merge(fromAnna);
  ben.merge(fromAnna);
  assert.equal(anna.hash(), ben.hash());
  assert.deepEqual(anna.toJSON(), ben.toJSON());
  assert.equal(anna.count(["mill", "votes"]), 4);
  assert.deepEqual(anna.items(["mill", "tags"]), ["water"]);
  const names = [anna.get(["mill", "name"]), ...anna.conflicts(["mill", "name"])];
  assert.deepEqual(names.sort(), ["Ben's mill", "Water mill"]);
  assert.deepEqual(heard, [false]);
  anna.edit((tx) => tx.set(["mill", "name"], "The mill"));
  assert.deepEqual(anna.conflicts(["mill", "name"]), []);
});

test("bytes that are no document are refused", async () => {
  const doc = await open();
  doc.edit((tx) => tx.set(["a"], 1));
  const [before, state] = [doc.hash(), doc.state()];
  assert.throws(() => doc.merge(new Uint8Array()), Error);
  assert.throws(() => doc.merge(new Uint8Array([9, 9, 9])), /format 9 is not known/);
  assert.throws(() => doc.merge(new Uint8Array([1, 0, 0])), /format 1 is not known here; it was written by another version/);
  for (let end = 0; end < state.length; end++) assert.throws(() => doc.merge(state.slice(0, end)), Error);
  assert.equal(doc.hash(), before);
});
