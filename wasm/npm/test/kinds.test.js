// Lists, remove-wins sets, flags and guards, and the changes that tell of every kind.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, test } from "node:test";
import { Client, init } from "../dist/index.js";
import { Mirror, shown } from "./mirror.js";

before(async () => {
  await init({ module: await readFile(new URL("../wasm/watersmeet_wasm_bg.wasm", import.meta.url)) });
});

const open = async () => (await Client.create({ database: null })).open("map");

/** Two documents that have the same in them. */
async function pair(build) {
  const [anna, ben] = [await open(), await open()];
  anna.edit(build);
  ben.merge(anna.state());
  return [anna, ben];
}

function meet(anna, ben) {
  const fromAnna = anna.state();
  anna.merge(ben.state());
  ben.merge(fromAnna);
  assert.equal(anna.hash(), ben.hash());
  assert.deepEqual(anna.toJSON(), ben.toJSON());
}

test("a list is edited by index", async () => {
  const doc = await open();
  const route = doc.list(["route"]);
  assert.deepEqual([route.length, route.get(0), route.toArray()], [0, undefined, []]);
  route.insert(0, "a", [1, 2], "d");
  route.insert(2, "c");
  route.replace(1, "b");
  assert.deepEqual([...route], ["a", "b", "c", "d"]);
  assert.deepEqual([route.length, route.get(3), route.get(4), route.get(-1), route.get(0.5)], [4, "d", undefined, undefined, undefined]);
  route.splice(1, 2, ["x", "y", "z"]);
  route.remove(0);
  route.remove(2, 2);
  assert.deepEqual(doc.toJSON(), { route: ["x", "y"] });
  route.splice(0, 2);
  assert.deepEqual(doc.toJSON(), {});
});

test("indexes count on what the transaction has done before", async () => {
  const doc = await open();
  doc.edit((tx) => tx.splice(["l"], 0, 0, [1, 2, 3]).replace(["l"], 2, "three").splice(["l"], 0, 1).replace(["l"], 0, "two"));
  assert.deepEqual(doc.list(["l"]).toArray(), ["two", "three"]);
});

test("two who edit different elements of one list both find their edits", async () => {
  const [anna, ben] = await pair((tx) => tx.splice(["route"], 0, 0, ["a", "b", "c", "d"]));
  anna.edit((tx) => tx.replace(["route"], 0, "A").splice(["route"], 4, 0, ["e"]));
  ben.edit((tx) => tx.replace(["route"], 3, "D").splice(["route"], 1, 1).splice(["route"], 1, 0, ["x"]));
  meet(anna, ben);
  assert.deepEqual(anna.list(["route"]).toArray(), ["A", "x", "c", "D", "e"]);
});

test("of two writes to one element one wins, and the other is kept until it is settled", async () => {
  const [anna, ben] = await pair((tx) => tx.splice(["l"], 0, 0, ["old", "other"]));
  anna.list(["l"]).replace(0, "Anna's");
  ben.list(["l"]).replace(0, "Ben's");
  meet(anna, ben);
  const list = anna.list(["l"]);
  assert.deepEqual([list.get(0), ...list.conflicts(0)].sort(), ["Anna's", "Ben's"]);
  assert.deepEqual([list.conflicts(1), list.conflicts(2), list.conflicts(-1)], [[], [], []]);
  list.replace(0, "settled");
  meet(anna, ben);
  assert.deepEqual([ben.list(["l"]).get(0), ben.list(["l"]).conflicts(0)], ["settled", []]);
});

test("in a remove-wins set a removal wins over a concurrent addition", async () => {
  const [anna, ben] = await pair((tx) => tx.include(["guests"], "Carla").include(["guests"], "Dan"));
  const guests = anna.rwset(["guests"]);
  assert.deepEqual(guests.items(), ["Carla", "Dan"]);
  guests.remove("Carla");
  ben.rwset(["guests"]).add("Carla");
  ben.rwset(["guests"]).add("Emil");
  meet(anna, ben);
  assert.deepEqual([...guests], ["Dan", "Emil"]);
  guests.add("Carla");
  assert.deepEqual(anna.toJSON(), { guests: ["Carla", "Dan", "Emil"] });
  // The sets of the two sorts are different things.
  assert.deepEqual(anna.items(["guests"]), []);
});

test("raising a flag wins, lowering a guard wins", async () => {
  const [anna, ben] = await pair((tx) => tx.flag(["closed"], true));
  assert.deepEqual([anna.flag(["closed"]).up, anna.flag(["none"]).up, anna.guard(["safe"]).up], [true, false, true]);
  anna.edit((tx) => tx.flag(["closed"], false).guard(["safe"], false));
  ben.flag(["closed"]).raise();
  ben.guard(["safe"]).raise();
  meet(anna, ben);
  assert.deepEqual(anna.toJSON(), { closed: true, safe: false });
  anna.flag(["closed"]).lower();
  anna.guard(["safe"]).set(true);
  meet(anna, ben);
  assert.deepEqual(ben.toJSON(), {});
  assert.deepEqual([ben.flag(["closed"]).up, ben.guard(["safe"]).up], [false, true]);
});

test("a list, a flag or a guard that is not one is refused in words, and nothing of it is applied", async () => {
  const doc = await open();
  doc.list(["a", "b"]).insert(0, "one");
  const before = doc.hash();
  const refused = [
    [(tx) => tx.splice(["a", "b"], -1, 0, []), TypeError, /a\/b: "index" is a whole number from 0 to/],
    [(tx) => tx.splice(["a", "b"], 0, 0.5), TypeError, /a\/b: "remove" is a whole number from 0 to/],
    [(tx) => tx.splice(["a", "b"], "0", 0, []), TypeError, /a\/b: "index" is a whole number; this is string/],
    [(tx) => tx.splice(["a", "b"], 0), TypeError, /a\/b: "remove" is a whole number; this is undefined/],
    [(tx) => tx.splice(["a", "b"], 0, 0, "text"), TypeError, /a\/b: what is inserted.*array of values; this is string/],
    [(tx) => tx.splice(["a", "b"], 0, 0, [1, {}]), TypeError, /a\/b: a value is null.*type Object/],
    [(tx) => tx.splice(["a", "b"], 0, 0, new Array(1)), TypeError, /a\/b: a value is .*this is undefined/],
    [(tx) => tx.replace(["a", "b"], NaN, 1), TypeError, /a\/b: "index"/],
    [(tx) => tx.replace(["a", "b"], 0, undefined), TypeError, /a\/b: a value is/],
    [(tx) => tx.flag(["a"], 1), TypeError, /a: a flag or a guard is true, up, or false, down; this is number/],
    [(tx) => tx.guard(["a", "b"]), TypeError, /a\/b: a flag or a guard.*this is undefined/],
    [(tx) => tx.include(["a"], new Map()), TypeError, /a: a value is null.*type Map/],
    [(tx) => tx.exclude("a", 1), TypeError, /array of strings/],
    [(tx) => tx.replace(["a", "b"], 1, "two"), RangeError, /list at a\/b has 1 elements; 2 is beyond/],
    [(tx) => tx.splice(["a", "b"], 2 ** 40, 0, [1]), RangeError, /list at a\/b has 1 elements/],
    [(tx) => tx.splice(["a", "b"], 0, 2), RangeError, /list at a\/b has 1 elements; 2 is beyond/],
  ];
  for (const [build, type, message] of refused) {
    const whole = () => doc.edit((tx) => (tx.set(["fine"], 1), build(tx)));
    assert.throws(whole, (error) => error instanceof type && message.test(error.message), String(build));
  }
  for (const read of [() => doc.list("a").length, () => doc.rwset([1]).items(), () => doc.flag(null).up, () => doc.guard({}).up]) {
    assert.throws(read, TypeError);
  }
  assert.equal(doc.hash(), before);
});

test("every change says what it did, of every kind", async () => {
  const doc = await open();
  const heard = [];
  doc.subscribe(({ changes }) => heard.push(...changes));
  const hears = (build, ...changes) => {
    doc.edit(build);
    assert.deepEqual(heard.splice(0), changes);
  };
  hears((tx) => tx.set(["r"], "x"), { path: ["r"], kind: "register", what: "written", value: "x", conflicts: 0 });
  hears((tx) => tx.delete(["r"]), { path: ["r"], kind: "register", what: "written", value: undefined, conflicts: 0 });
  hears((tx) => tx.increment(["n"], 2).increment(["n"], 3), { path: ["n"], kind: "counter", what: "counted", value: 5, by: 5 });
  hears((tx) => tx.add(["m", "s"], "i"), { path: ["m", "s"], kind: "set", what: "added", item: "i" });
  hears((tx) => tx.add(["m", "s"], "i"));
  hears((tx) => tx.remove(["m", "s"], "i"), { path: ["m", "s"], kind: "set", what: "removed", item: "i" });
  hears((tx) => tx.include(["w"], 1), { path: ["w"], kind: "rwset", what: "added", item: 1 });
  hears((tx) => tx.exclude(["w"], 1), { path: ["w"], kind: "rwset", what: "removed", item: 1 });
  hears((tx) => tx.flag(["f"], true), { path: ["f"], kind: "flag", what: "raised", up: true });
  hears((tx) => tx.flag(["f"], false), { path: ["f"], kind: "flag", what: "raised", up: false });
  hears((tx) => tx.guard(["g"], false), { path: ["g"], kind: "guard", what: "raised", up: false });
  hears((tx) => tx.guard(["g"], true), { path: ["g"], kind: "guard", what: "raised", up: true });
  hears(
    (tx) => tx.splice(["l"], 0, 0, ["a", "b"]).replace(["l"], 1, "B").splice(["l"], 0, 1),
    { path: ["l"], kind: "list", what: "inserted", index: 0, value: "a" },
    { path: ["l"], kind: "list", what: "inserted", index: 1, value: "b" },
    { path: ["l"], kind: "list", what: "replaced", index: 1, value: "B" },
    { path: ["l"], kind: "list", what: "taken", index: 0 },
  );
});

test("a register that is written elsewhere at once tells of its conflicts", async () => {
  const [anna, ben] = await pair((tx) => tx.set(["r"], "old"));
  const heard = [];
  anna.subscribe(({ changes }) => heard.push(...changes));
  anna.edit((tx) => tx.set(["r"], "Anna's"));
  ben.edit((tx) => tx.set(["r"], "Ben's"));
  meet(anna, ben);
  assert.deepEqual(heard.at(-1), { path: ["r"], kind: "register", what: "written", value: anna.get(["r"]), conflicts: 1 });
});

/** Numbers from a seed, each below `n`. */
function dice(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

/** An edit as anybody might make it. */
function randomEdit(doc, roll) {
  const inMap = roll(3) > 0 ? ["m", `k${roll(3)}`] : [];
  const value = `v${roll(6)}`;
  const length = doc.list([...inMap, "list"]).length;
  const index = roll(length + 1);
  const edits = [
    (tx) => tx.set([...inMap, "register"], value),
    (tx) => tx.increment([...inMap, "counter"], roll(5) - 2),
    (tx) => tx.add([...inMap, "set"], value),
    (tx) => tx.remove([...inMap, "set"], value),
    (tx) => tx.include([...inMap, "rwset"], value),
    (tx) => tx.exclude([...inMap, "rwset"], value),
    (tx) => tx.flag([...inMap, "flag"], roll(2) === 0),
    (tx) => tx.guard([...inMap, "guard"], roll(2) === 0),
    (tx) => tx.splice([...inMap, "list"], index, roll(length - index + 1), Array(roll(4)).fill(value)),
    (tx) => tx.splice([...inMap, "list"], index, 0, [value]),
    (tx) => (index < length ? tx.replace([...inMap, "list"], index, value) : tx),
    (tx) => (roll(4) === 0 ? tx.delete(inMap.length > 0 ? inMap : ["list"]) : tx),
  ];
  doc.edit((tx) => edits[roll(edits.length)](tx));
}

test("who follows the changes alone has what the document has, whoever made them", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const roll = dice(seed);
    const docs = [await open(), await open(), await open()];
    const mirrors = docs.map((doc) => {
      const mirror = new Mirror();
      doc.subscribe(({ changes }) => mirror.follow(changes));
      return mirror;
    });
    for (let step = 0; step < 120; step++) {
      const at = roll(docs.length);
      if (roll(5) > 0) randomEdit(docs[at], roll);
      else docs[at].merge(docs[roll(docs.length)].state());
      assert.deepEqual(mirrors[at].toJSON(), shown(docs[at].toJSON()), `seed ${seed}, step ${step}`);
    }
  }
});
