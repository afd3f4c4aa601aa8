// Under which id a tab edits, with locks and a store that are made up.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { leaseReplica } from "../dist/tabs.js";

/** Locks of one browser, as far as they are used here. */
class Locks {
  held = new Set();
  /** Called before a lock is given. */
  before = () => {};

  async request(name, _options, use) {
    this.before(name);
    if (this.held.has(name)) return use(null);
    this.held.add(name);
    await use({ name });
    this.held.delete(name);
  }
}

/** The ids of one device. */
class Ids {
  name = "ids";
  constructor(...ids) { this.ids = new Set(ids); }
  async replicas() { return [...this.ids]; }
  async addReplica(id) { this.ids.add(id); }
}

let locks;
const original = Object.getOwnPropertyDescriptor(globalThis, "navigator");
beforeEach(() => {
  locks = new Locks();
  Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
});
afterEach(() => {
  if (original) Object.defineProperty(globalThis, "navigator", original);
  else delete globalThis.navigator;
});

test("an id is used again once it is let go, and never by two at once", async () => {
  const ids = new Ids();
  const [first, second] = [await leaseReplica(ids), await leaseReplica(ids)];
  assert.notEqual(first.replica, second.replica);
  first.release();
  await undefined;
  assert.equal((await leaseReplica(ids)).replica, first.replica);
  assert.equal(ids.ids.size, 2);
});

// A tab without room on its device forgets its id, sends its edits, and is closed. A tab that had listed the ids
// before then edited under that id without those edits, and gave other edits their names.
test("an id that is forgotten while it is asked for is not used again", async () => {
  const ids = new Ids(7, 8);
  locks.before = (name) => name.endsWith(" 7") && ids.ids.delete(7);
  assert.equal((await leaseReplica(ids)).replica, 8);
  assert.deepEqual([...locks.held], ["watersmeet ids replica 8"]);
});
