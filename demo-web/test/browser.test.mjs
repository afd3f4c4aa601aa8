// What a person sees, in a real browser, against the real server.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  Server, addPlace, card, colourAt, converged, drawn, elsewhere, goOffline, goOnline, hash, json, launch, open, person, ready,
  screenshot, select, status, synced,
} from "./harness.mjs";

let server;
let browser;

before(async () => {
  server = await Server.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** Runs a test in browsers of its own, which are closed afterwards. */
function story(title, names, run) {
  test(title, async () => {
    const contexts = [];
    for (const name of names) contexts.push(await person(browser, server, name));
    try {
      await run(...contexts);
    } finally {
      for (const context of contexts) await context.close();
    }
  });
}

/** Whether two colours look alike. */
const near = (colour, [r, g, b]) => Math.hypot(colour[0] - r, colour[1] - g, colour[2] - b) < 14;

const nameField = (page) => page.getByLabel("Name", { exact: true });

async function rename(page, from, to) {
  await select(page, from);
  await nameField(page).fill(to);
  await page.keyboard.press("Enter");
}

async function tag(page, place, text) {
  await select(page, place);
  await page.getByLabel("Add a tag").fill(text);
  await page.keyboard.press("Enter");
}

async function vote(page, place, times) {
  await select(page, place);
  for (let i = 0; i < times; i++) await page.getByRole("button", { name: "Vote for it" }).click();
}

async function remove(page, place) {
  await select(page, place);
  await page.getByRole("button", { name: "Delete this place" }).click();
}

story("the base map is drawn with nothing but this server", ["Anna"], async (anna) => {
  const page = await open(anna, server, "base");
  await page.evaluate(() => window.watersmeet.map.jumpTo({ center: [10, 48], zoom: 4 }));
  await drawn(page);
  const image = await screenshot(page, "base-map");
  const land = [[2.1, 47.1], [26.6, 49.9], [18.9, 50.4]];
  const water = [[6.5, 41.2], [3.2, 55.9], [-5.5, 46.2]];
  for (const at of land) assert(near(await colourAt(page, image, at), [0xf4, 0xef, 0xe2]), `no land at ${at}: ${await colourAt(page, image, at)}`);
  for (const at of water) assert(near(await colourAt(page, image, at), [0xb9, 0xd6, 0xd9]), `no water at ${at}: ${await colourAt(page, image, at)}`);
  const labels = await page.evaluate(() =>
    window.watersmeet.map.queryRenderedFeatures({ layers: ["countries", "cities"] }).map((feature) => feature.properties.name),
  );
  for (const name of ["Germany", "Paris"]) assert(labels.includes(name), `${name} is not among ${labels}`);
  // Beyond the zooms that are made beforehand, the server makes tiles as they are asked for.
  await page.evaluate(() => window.watersmeet.map.jumpTo({ center: [4.4, 52.05], zoom: 9 }));
  await drawn(page);
  const close = await screenshot(page, "base-map-close");
  assert(near(await colourAt(page, close, [4.75, 52.1]), [0xf4, 0xef, 0xe2]), "no land when looked at closely");
  assert(near(await colourAt(page, close, [4.15, 52.15]), [0xb9, 0xd6, 0xd9]), "no water when looked at closely");
});

story("land that crosses the antimeridian stays on its side of the map", ["Anna"], async (anna) => {
  const page = await open(anna, server, "base");
  await page.evaluate(() => window.watersmeet.map.jumpTo({ center: [-10, 45], zoom: 1.2 }));
  await drawn(page);
  const image = await screenshot(page, "world");
  // The latitudes of Chukotka, of Wrangel Island and of Fiji, in the open sea.
  for (const at of [[0, 67.5], [-5, 71.2], [-20, -16.6], [60, -16.6]]) {
    assert(near(await colourAt(page, image, at), [0xb9, 0xd6, 0xd9]), `no water at ${at}: ${await colourAt(page, image, at)}`);
  }
  assert(near(await colourAt(page, image, [25, 67.5]), [0xf4, 0xef, 0xe2]), "no land in Lapland");
});

story("two people edit one place apart, and meet", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const [anna, ben] = [await open(inAnnas, server, "meet"), await open(inBens, server, "meet")];
  const id = await addPlace(anna, "Old mill");
  await tag(anna, "Old mill", "ruin");
  await addPlace(anna, "Bridge");
  await converged(anna, ben);
  const before = (await json(ben)).places[id].at;
  await goOffline(anna);
  await goOffline(ben);

  // Move against rename.
  await select(anna, "Old mill");
  const pin = anna.locator(`[data-place="${id}"].pin`);
  const box = await pin.boundingBox();
  await anna.mouse.move(box.x + 22, box.y + 24);
  await anna.mouse.down();
  await anna.mouse.move(box.x + 100, box.y - 60, { steps: 6 });
  await anna.mouse.up();
  await rename(ben, "Old mill", "Water mill");
  // Vote against vote, tag against untag.
  await vote(anna, "Old mill", 2);
  await vote(ben, "Water mill", 3);
  await ben.getByRole("button", { name: "Remove tag ruin" }).click();
  await tag(anna, "Old mill", "ruin");
  await tag(anna, "Old mill", "museum");
  await tag(ben, "Water mill", "café");
  // Edit against delete.
  await vote(anna, "Bridge", 1);
  await remove(ben, "Bridge");

  assert.match(await anna.locator("#status").textContent(), /^Offline: changes to 2 places saved on this device, not yet on the server$/);
  await screenshot(anna, "offline");
  assert.notEqual(await hash(anna), await hash(ben));
  await goOnline(ben);
  await goOnline(anna);
  await converged(anna, ben);
  assert.deepEqual(await json(anna), await json(ben));

  const [annas, bens] = [await card(anna, "Water mill"), await card(ben, "Water mill")];
  assert.deepEqual(annas, bens);
  assert.equal(annas.votes, "5 votes");
  assert.deepEqual(annas.tags, ["café", "museum", "ruin"]);
  assert.notDeepEqual((await json(ben)).places[id].at, before);
  assert.deepEqual(annas.notices, []);
  // The edit brought the bridge back whole, and both are told.
  const [annasBridge, bensBridge] = [await card(anna, "Bridge"), await card(ben, "Bridge")];
  assert.deepEqual(annasBridge, bensBridge);
  assert.equal(annasBridge.votes, "1 vote");
  assert.match(annasBridge.notices.join(), /Ben deleted this while Anna edited it, so it was kept/);
  await anna.getByRole("button", { name: "Keep it" }).click();
  await anna.locator(".card .notice").waitFor({ state: "detached" });
  await converged(anna, ben);
});

story("of two names given at once neither is lost", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const [anna, ben] = [await open(inAnnas, server, "names"), await open(inBens, server, "names")];
  await addPlace(anna, "Spring");
  await converged(anna, ben);
  await goOffline(anna);
  await goOffline(ben);
  await rename(anna, "Spring", "Holy well");
  await rename(ben, "Spring", "Source");
  await goOnline(anna);
  await goOnline(ben);
  await converged(anna, ben);
  // What the field shows is drawn a frame later.
  const [{ name }] = Object.values((await json(anna)).places);
  await anna.waitForFunction((wanted) => document.querySelector("input.name").value === wanted, name);
  const other = name === "Source" ? "Holy well" : "Source";
  await anna.locator(".notice", { hasText: `Also called ${other}` }).waitFor();
  await ben.locator(".notice", { hasText: `Also called ${other}` }).waitFor();
  await screenshot(anna, "two-names");
  await anna.getByRole("button", { name: `Use “${other}”` }).click();
  await converged(anna, ben);
  await ben.locator(".notice", { hasText: "Also called" }).waitFor({ state: "detached" });
  await ben.waitForFunction((wanted) => document.querySelector("input.name").value === wanted, other);
});

story("a name that is only looked at stays as others give it", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const [anna, ben] = [await open(inAnnas, server, "looked-at"), await open(inBens, server, "looked-at")];
  await addPlace(anna, "Ford");
  await converged(anna, ben);
  await select(anna, "Ford");
  await nameField(anna).focus();
  await rename(ben, "Ford", "Long ford");
  await converged(anna, ben);
  // Nothing is put under the hands of somebody who may be about to type.
  assert.equal(await nameField(anna).inputValue(), "Ford");
  await anna.getByLabel("Add a tag").focus();
  assert.equal(await nameField(anna).inputValue(), "Long ford");
  await nameField(anna).focus();
  await rename(ben, "Long ford", "Deep ford");
  await converged(anna, ben);
  await anna.getByRole("button", { name: "All places" }).click();
  await anna.locator(".item", { hasText: "Deep ford" }).waitFor();
  await converged(anna, ben);
  assert.deepEqual(Object.values((await json(ben)).places).map((place) => place.name), ["Deep ford"]);
});

story("who deletes can undo, and what is in the bin comes back whole", ["Anna"], async (inAnnas) => {
  const anna = await open(inAnnas, server, "bin");
  await addPlace(anna, "Ford");
  await tag(anna, "Ford", "shallow");
  await vote(anna, "Ford", 2);
  await remove(anna, "Ford");
  await anna.getByRole("button", { name: "Undo" }).click();
  assert.deepEqual((await card(anna, "Ford")).tags, ["shallow"]);
  await remove(anna, "Ford");
  await anna.getByText("Bin (1)").click();
  await anna.getByRole("button", { name: "Restore Ford" }).click();
  const restored = await card(anna, "Ford");
  assert.deepEqual([restored.votes, restored.tags], ["2 votes", ["shallow"]]);
});

story("emptying the bin removes what is in it for good, once that is confirmed", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const [anna, ben] = [await open(inAnnas, server, "emptied"), await open(inBens, server, "emptied")];
  for (const name of ["Ford", "Weir", "Mill"]) await addPlace(anna, name);
  await converged(anna, ben);
  for (const name of ["Ford", "Weir"]) await remove(anna, name);
  // All of it with the keyboard.
  const keys = async (...pressed) => { for (const key of pressed) await anna.keyboard.press(key); };
  await anna.getByText("Bin (2)").focus();
  await keys("Enter", "Tab", "Tab", "Tab", "Enter");
  await anna.getByText("The 2 places in the bin will be gone for everybody").waitFor();
  await screenshot(anna, "empty-the-bin");
  await keys("Escape");
  assert.equal((await anna.evaluate(() => window.watersmeet.doc.keys(["places"]))).length, 3);
  // What comes into the bin after the question is not part of the answer.
  await keys("Enter");
  await remove(ben, "Mill");
  await anna.getByText("Bin (3)").waitFor();
  assert.equal(await anna.evaluate(() => document.activeElement.textContent), "Keep them");
  await keys("Tab", "Enter");
  await anna.getByText("2 places removed for good.").waitFor();
  await anna.getByText("Bin (1)").waitFor();
  await converged(anna, ben);
  assert.deepEqual(Object.values((await json(ben)).places).map((place) => place.name), ["Mill"]);
  await ben.getByText("Bin (1)").waitFor();
});

story("what somebody has focused or pressed stays where it is while others edit", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const [anna, ben] = [await open(inAnnas, server, "held"), await open(inBens, server, "held")];
  for (const name of ["Ford", "Weir", "Lock", "Mill", "Quay"]) await addPlace(anna, name);
  for (const name of ["Ford", "Weir"]) await remove(anna, name);
  await converged(anna, ben);
  const focused = () => anna.evaluate(() => document.activeElement.ariaLabel || document.activeElement.textContent);
  const listed = (...names) => anna.waitForFunction(
    (wanted) => [...document.querySelectorAll(".item .name")].map((name) => name.textContent).join() === wanted, names.join());

  // In the bin, from which Ben takes first another place, and then this one.
  await anna.getByText("Bin (2)").click();
  await anna.getByRole("button", { name: "Restore Ford" }).focus();
  await ben.getByText("Bin (2)").click();
  await ben.getByRole("button", { name: "Restore Weir" }).click();
  await anna.getByText("Bin (1)").waitFor();
  assert.equal(await focused(), "Restore Ford");
  await ben.getByRole("button", { name: "All places" }).click();
  await ben.getByRole("button", { name: "Restore Ford" }).click();
  await listed("Ford", "Lock", "Mill", "Quay", "Weir");
  assert.equal(await anna.evaluate(() => document.activeElement.className), "list");

  // In the list, in which places change places.
  await anna.locator(".item", { hasText: "Mill" }).focus();
  for (const [name, votes] of [["Weir", 2], ["Mill", 1]]) await vote(ben, name, votes);
  await listed("Weir", "Mill", "Ford", "Lock", "Quay");
  assert.match(await focused(), /^Mill/);
  await vote(ben, "Mill", 2);
  await listed("Mill", "Weir", "Ford", "Lock", "Quay");
  await anna.keyboard.press("ArrowDown");
  assert.match(await focused(), /^Weir/);

  // Under a button of the mouse that is not yet let go.
  const box = await anna.locator(".item", { hasText: "Mill" }).boundingBox();
  await anna.mouse.move(box.x + 40, box.y + 20);
  await anna.mouse.down();
  await tag(ben, "Mill", "wheel");
  await anna.locator(".item", { hasText: "#wheel" }).waitFor();
  await anna.mouse.up();
  await anna.locator(".card .tag", { hasText: "wheel" }).waitFor();

  // In a card.
  await goOffline(ben);
  await rename(anna, "Mill", "Water mill");
  await rename(ben, "Mill", "Old mill");
  await goOnline(ben);
  await converged(anna, ben);
  const keep = await anna.locator(".notice button", { hasText: "Keep" }).textContent();
  await anna.locator(".notice button", { hasText: "Keep" }).focus();
  await ben.getByRole("button", { name: "Vote for it" }).click();
  await anna.locator(".card output", { hasText: "4 votes" }).waitFor();
  assert.equal(await focused(), keep);
});

story("a reload while offline loses nothing, not even without any network", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const anna = await open(inAnnas, server, "reload");
  await addPlace(anna, "Weir");
  await synced(anna);
  await goOffline(anna);
  await rename(anna, "Weir", "Long weir");
  await addPlace(anna, "Ferry");
  await anna.evaluate(() => window.watersmeet.doc.saved());
  const [before, kept] = [await hash(anna), await json(anna)];
  await anna.reload();
  await ready(anna);
  assert.equal(await hash(anna), before);
  assert.deepEqual(await json(anna), kept);
  assert.match(await anna.locator("#status").textContent(), /^Offline: changes to 2 places saved on this device, not yet on the server$/);
  await anna.locator(".item", { hasText: "Long weir" }).locator(".unsent").waitFor();

  // Now the page itself has to come from this device.
  await anna.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await anna.waitForFunction(async () => {
    const kept = await caches.match(performance.getEntriesByType("resource").find((entry) => entry.name.endsWith(".wasm")).name);
    return kept !== undefined;
  });
  await inAnnas.setOffline(true);
  await anna.reload();
  await ready(anna);
  assert.equal(await hash(anna), before);
  await addPlace(anna, "Lock");
  await inAnnas.setOffline(false);
  await goOnline(anna);
  const ben = await open(inBens, server, "reload");
  await converged(anna, ben);
  for (const name of ["Long weir", "Ferry", "Lock"]) await ben.locator(".item", { hasText: name }).waitFor();
});

story("the server is killed in between, and keeps what it acknowledged", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const [anna, ben] = [await open(inAnnas, server, "kill"), await open(inBens, server, "kill")];
  await addPlace(anna, "Dam");
  await converged(anna, ben);
  await vote(anna, "Dam", 3);
  await synced(anna);
  await server.kill();
  await anna.locator("#status", { hasText: "Connecting: everything here is also on the server" }).waitFor();
  await vote(ben, "Dam", 2);
  await rename(anna, "Dam", "High dam");
  await anna.locator("#status", { hasText: "not yet on the server" }).waitFor();
  assert.equal((await status(anna)).onServer, false);
  assert.equal((await status(anna)).onDevice, true);
  await server.start();
  await converged(anna, ben);
  const dam = await card(ben, "High dam");
  assert.equal(dam.votes, "5 votes");

  // Without anybody to tell it again: what it acknowledged is there.
  const after = await hash(anna);
  await anna.close();
  await ben.close();
  await server.kill();
  await server.start();
  const fresh = await person(browser, server, "Cora");
  const cora = await open(fresh, server, "kill");
  await synced(cora);
  assert.equal(await hash(cora), after);
  await fresh.close();
});

story("a frozen network is noticed, and nothing is claimed that is not so", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const [anna, ben] = [await open(inAnnas, server, "frozen"), await open(inBens, server, "frozen")];
  await addPlace(anna, "Lake");
  await converged(anna, ben);
  await inAnnas.setOffline(true);
  await vote(anna, "Lake", 1);
  await anna.evaluate(() => window.watersmeet.doc.saved());
  assert.deepEqual([(await status(anna)).onDevice, (await status(anna)).onServer], [true, false]);
  await anna.waitForFunction(() => window.watersmeet.client.connection === "connecting");
  await anna.locator("#status", { hasText: "Connecting: changes to 1 place saved on this device, not yet on the server" }).waitFor();
  await vote(ben, "Lake", 1);
  await inAnnas.setOffline(false);
  await converged(anna, ben);
  assert.equal((await card(anna, "Lake")).votes, "2 votes");
});

story("each edit's way is shown: on this device, then on the server", ["Anna"], async (inAnnas) => {
  const anna = await open(inAnnas, server, "states");
  await synced(anna);
  const states = await anna.evaluate(async () => {
    const { doc, client } = window.watersmeet;
    const seen = [];
    const stop = doc.onStatus(({ onDevice, onServer }) => seen.push([onDevice, onServer].join()));
    client.disconnect();
    doc.edit((tx) => tx.set(["note"], "x"));
    seen.push("edited");
    await doc.saved();
    seen.push("saved");
    client.connect();
    await doc.synced();
    stop();
    return seen;
  });
  // A state is told again when something else has changed, such as the connection.
  assert.match(states.join(" "), /^(true,true )+(false,false )+edited( true,false)+ saved( true,false)+( true,true)+$/);
  await addPlace(anna, "Mole");
  await goOffline(anna);
  await vote(anna, "Mole", 1);
  await anna.getByText("Not yet on the server", { exact: true }).first().waitFor();
  await goOnline(anna);
  await synced(anna);
  await anna.locator(".mark-unsent").waitFor({ state: "hidden" });
});

story("two tabs share what is on the device, and never a replica", ["Anna"], async (inAnnas) => {
  const first = await open(inAnnas, server, "tabs");
  await addPlace(first, "Pond");
  await synced(first);
  const second = await open(inAnnas, server, "tabs");
  await converged(first, second);
  const replica = (page) => page.evaluate(() => window.watersmeet.client.replica);
  assert.notEqual(await replica(first), await replica(second));
  await goOffline(first);
  await goOffline(second);
  await Promise.all([vote(first, "Pond", 3), vote(second, "Pond", 4)]);
  // Without a server between them.
  for (const page of [first, second]) await page.locator(".card output", { hasText: "7 votes" }).waitFor();
  assert.equal(await hash(first), await hash(second));

  // A third tab takes up an id that was let go, and all that was done under it.
  const used = [await replica(first), await replica(second)];
  await second.close();
  const third = await open(inAnnas, server, "tabs");
  assert(used.includes(await replica(third)));
  assert.notEqual(await replica(third), await replica(first));
  assert.equal(await hash(third), await hash(first));
  await vote(third, "Pond", 1);
  await first.locator(".card output", { hasText: "8 votes" }).waitFor();
  await goOnline(first);
  await goOnline(third);
  await converged(first, third);
});

/** How many rows of a document this device stores. */
const rowsOf = (page, map) => page.evaluate((name) => new Promise((resolve) => {
  const request = indexedDB.open("watersmeet-demo");
  request.onsuccess = () => {
    const count = request.result.transaction("deltas").objectStore("deltas").index("name").count(name);
    count.onsuccess = () => (request.result.close(), resolve(count.result));
  };
}), map);

story("many edits are kept as one state, and none is lost", ["Anna"], async (inAnnas) => {
  const anna = await open(inAnnas, server, "many");
  await goOffline(anna);
  await anna.evaluate(async () => {
    const { doc } = window.watersmeet;
    for (let i = 0; i < 200; i++) {
      doc.edit((tx) => tx.set(["n", String(i % 10)], i).increment(["sum"]));
      if (i % 3 === 0) await doc.saved();
    }
    await doc.saved();
  });
  const rows = () => rowsOf(anna, "many");
  const [before, deltas] = [await hash(anna), await rows()];
  assert(deltas > 64, `${deltas} deltas`);
  await anna.reload();
  await ready(anna);
  assert.equal(await hash(anna), before);
  assert.equal(await rows(), 1);
  await anna.reload();
  await ready(anna);
  assert.equal(await hash(anna), before);
  await goOnline(anna);
  await synced(anna);
});

story("tabs that are open all day do not fill the device, and lose nothing", ["Anna"], async (inAnnas) => {
  const tabs = [await open(inAnnas, server, "long"), await open(inAnnas, server, "long")];
  for (const page of tabs) await goOffline(page);
  const editAll = (page, who) => page.evaluate(async (key) => {
    const { doc } = window.watersmeet;
    for (let i = 0; i < 600; i++) {
      doc.edit((tx) => tx.increment([key]));
      if (i % 20 === 0) await doc.saved();
    }
    await doc.saved();
  }, who);
  await Promise.all(tabs.map((page, index) => editAll(page, `tab ${index}`)));
  const all = { "tab 0": 600, "tab 1": 600 };
  for (const page of tabs) await page.waitForFunction(() => Object.values(window.watersmeet.doc.toJSON()).join() === "600,600");
  const rows = await rowsOf(tabs[0], "long");
  assert(rows < 600, `${rows} rows of 1200 edits`);
  await tabs[1].close();
  await tabs[0].reload();
  await ready(tabs[0]);
  assert.deepEqual(await json(tabs[0]), all);
});

story("what comes in while a document is being opened is stored as well", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const [anna, ben] = [await open(inAnnas, server, "first"), await open(inBens, server, "second")];
  // A document that Anna has, in so many deltas that opening it replaces them.
  await anna.evaluate(async () => {
    const { client } = window.watersmeet;
    const second = await client.open("second");
    for (let i = 0; i < 100; i++) second.edit((tx) => tx.increment(["annas"]));
    await second.synced();
  });
  await anna.reload();
  await ready(anna);
  await anna.evaluate(() => window.watersmeet.doc.synced());
  await ben.evaluate(() => {
    window.edits = setInterval(() => window.watersmeet.doc.edit((tx) => tx.increment(["bens"])), 5);
  });
  await anna.evaluate(async () => {
    // A disk that takes its time.
    const { set, ...rest } = Object.getOwnPropertyDescriptor(IDBTransaction.prototype, "oncomplete");
    Object.defineProperty(IDBTransaction.prototype, "oncomplete", {
      ...rest,
      set(done) { set.call(this, () => setTimeout(done, 500)); },
    });
    const { client, doc } = window.watersmeet;
    // Whatever makes the core send has it ask for the second document too.
    const sends = setInterval(() => doc.edit((tx) => tx.increment(["n"])), 20);
    window.second = await client.open("second");
    clearInterval(sends);
  });
  await ben.evaluate(() => clearInterval(window.edits));
  await synced(ben);
  const wanted = await hash(ben);
  const arrived = (page) => page.waitForFunction((it) => window.second.hash() === it, wanted);
  await arrived(anna);
  await anna.evaluate(() => window.second.saved());
  await goOffline(anna);
  // What was stored last has no sign but that nothing is being stored any more.
  await anna.waitForTimeout(1_500);
  await anna.reload();
  await ready(anna);
  await anna.evaluate(async () => { window.second = await window.watersmeet.client.open("second"); });
  assert.equal(await anna.evaluate(() => window.second.hash()), wanted);
});

/** Spoils the `nth` row that this device stores of a document. */
const spoil = (page, map, nth) => page.evaluate(([name, index]) => new Promise((resolve) => {
  const request = indexedDB.open("watersmeet-demo");
  request.onsuccess = () => {
    const transaction = request.result.transaction("deltas", "readwrite");
    const deltas = transaction.objectStore("deltas");
    const keys = deltas.index("name").getAllKeys(name);
    keys.onsuccess = () => deltas.put({ name, delta: new Uint8Array([9, 9, 9]) }, keys.result.at(index));
    transaction.oncomplete = () => (request.result.close(), resolve());
  };
}), [map, nth]);

const inQuarantine = (page) => page.evaluate(() => new Promise((resolve) => {
  const request = indexedDB.open("watersmeet-demo");
  request.onsuccess = () => {
    const count = request.result.transaction("quarantine").objectStore("quarantine").count();
    count.onsuccess = () => (request.result.close(), resolve(count.result));
  };
}));

story("what cannot be read is put aside, and the rest goes on", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const [anna, ben] = [await open(inAnnas, server, "damaged"), await open(inBens, server, "damaged")];
  await addPlace(anna, "Quay");
  await addPlace(ben, "Lock");
  await converged(anna, ben);
  await goOffline(anna);
  // Only on this device, behind what is to be spoilt.
  await anna.evaluate(async () => {
    const { doc } = window.watersmeet;
    for (let i = 0; i < 3; i++) doc.edit((tx) => tx.increment(["n"]));
    await doc.saved();
  });
  const replica = () => anna.evaluate(() => window.watersmeet.client.replica);
  const versions = () => anna.evaluate(() => [...window.watersmeet.doc.version()]);
  const [used, before] = [await replica(), await versions()];
  await spoil(anna, "damaged", -2);
  await anna.reload();
  await ready(anna);
  await anna.locator("#status", { hasText: "Some of what this device kept cannot be read and was put aside" }).waitFor();
  assert.equal(await inQuarantine(anna), 2);
  assert.equal((await json(anna)).n, 1);
  assert.deepEqual(Object.values((await json(anna)).places).map(({ name }) => name).sort(), ["Lock", "Quay"]);

  // Edits go on, under an id that nobody had, and reach the others.
  await addPlace(anna, "Jetty");
  await anna.evaluate(() => window.watersmeet.doc.saved());
  const [mine] = (await versions()).filter(([id]) => !before.some(([known]) => known === id));
  assert(mine, "no fresh id");
  await anna.getByRole("switch", { name: "Work offline" }).uncheck();
  await ben.locator(".item", { hasText: "Jetty" }).waitFor();
  await anna.evaluate(() => window.watersmeet.doc.synced());
  await anna.reload();
  await ready(anna);
  assert.notEqual(await replica(), used);
  await converged(anna, ben);
  assert.equal(await inQuarantine(anna), 2);
  assert.equal((await json(ben)).n, 1);
});

/** Makes all that this device stores of a document look as if an earlier version had stored it; answers with how many rows. */
const age = (page, map) => page.evaluate((name) => new Promise((resolve) => {
  const request = indexedDB.open("watersmeet-demo");
  request.onsuccess = () => {
    const transaction = request.result.transaction("deltas", "readwrite");
    let rows = 0;
    transaction.objectStore("deltas").index("name").openCursor(name).onsuccess = ({ target: { result: cursor } }) => {
      if (!cursor) return;
      const { delta } = cursor.value;
      // The number of the format, which is all that an earlier version's bytes are looked at for.
      delta[0] = 1;
      cursor.update({ name, delta });
      rows++;
      cursor.continue();
    };
    transaction.oncomplete = () => (request.result.close(), resolve(rows));
  };
}), map);

story("what an earlier version stored is put aside, and the server has the rest", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const [anna, ben] = [await open(inAnnas, server, "aged"), await open(inBens, server, "aged")];
  await addPlace(anna, "Quay");
  await addPlace(ben, "Lock");
  await converged(anna, ben);
  await goOffline(anna);
  const before = await anna.evaluate(() => window.watersmeet.doc.version().size);
  await anna.evaluate(() => window.watersmeet.doc.saved());
  const rows = await age(anna, "aged");
  assert(rows > 0);
  await anna.reload();
  await ready(anna);
  await anna.locator("#status", { hasText: "put aside (format 1 is not known here; it was written by another version" }).waitFor();
  assert.equal(await inQuarantine(anna), rows);
  assert.deepEqual(await json(anna), {});

  await addPlace(anna, "Jetty");
  await anna.evaluate(() => window.watersmeet.doc.saved());
  await anna.getByRole("switch", { name: "Work offline" }).uncheck();
  for (const name of ["Quay", "Lock"]) await anna.locator(".item", { hasText: name }).waitFor();
  await ben.locator(".item", { hasText: "Jetty" }).waitFor();
  await anna.evaluate(() => window.watersmeet.doc.synced());
  // What is put aside now stays so, and everything else is read again without a word.
  await anna.reload();
  await ready(anna);
  await converged(anna, ben);
  assert.equal(await anna.evaluate(() => window.watersmeet.doc.version().size), before + 1);
  assert.equal(await inQuarantine(anna), rows);
});

story("what a tab of an earlier version stores is not taken in, and is not fatal", ["Anna"], async (inAnnas) => {
  const anna = await open(inAnnas, server, "mixed");
  await addPlace(anna, "Quay");
  await synced(anna);
  await anna.evaluate(() => {
    const { client, doc } = window.watersmeet;
    const delta = doc.state();
    delta[0] = 1;
    new BroadcastChannel(`watersmeet ${client.database}`).postMessage({ name: doc.name, delta });
  });
  await anna.locator("#status", { hasText: "What another tab stored cannot be read here (format 1" }).waitFor();
  await addPlace(anna, "Lock");
  await anna.evaluate(() => window.watersmeet.doc.synced());
  assert.equal(Object.keys((await json(anna)).places).length, 2);
});

story("two people edit one list, and each page follows by the changes alone", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const [anna, ben] = [await open(inAnnas, server, "route"), await open(inBens, server, "route")];
  for (const page of [anna, ben]) {
    await page.evaluate(() => {
      window.route = [];
      window.watersmeet.doc.subscribe(({ changes }) => {
        for (const { path, what, index, value } of changes) {
          if (path[0] === "route") window.route.splice(index, what === "inserted" ? 0 : 1, ...(what === "taken" ? [] : [value]));
        }
      });
    });
  }
  await anna.evaluate(() => window.watersmeet.doc.list(["route"]).insert(0, "a", "b", "c"));
  await converged(anna, ben);
  await goOffline(anna);
  await goOffline(ben);
  await anna.evaluate(() => window.watersmeet.doc.edit((tx) => tx.replace(["route"], 0, "A").flag(["open"], true)));
  await ben.evaluate(() => window.watersmeet.doc.edit((tx) => tx.replace(["route"], 2, "C").splice(["route"], 1, 1, ["x", "y"]).guard(["safe"], false)));
  await goOnline(anna);
  await goOnline(ben);
  await converged(anna, ben);
  for (const page of [anna, ben]) {
    assert.deepEqual(await json(page), { open: true, route: ["A", "x", "y", "C"], safe: false });
    assert.deepEqual(await page.evaluate(() => window.route), ["A", "x", "y", "C"]);
  }
  await anna.reload();
  await ready(anna);
  assert.deepEqual(await anna.evaluate(() => window.watersmeet.doc.list(["route"]).toArray()), ["A", "x", "y", "C"]);
});

story("another tab that has what cannot be read stores it anew", ["Anna"], async (inAnnas) => {
  const first = await open(inAnnas, server, "healed");
  await goOffline(first);
  for (const name of ["Quay", "Lock"]) await addPlace(first, name);
  await first.evaluate(() => window.watersmeet.doc.saved());
  await spoil(first, "healed", 0);
  const second = await open(inAnnas, server, "healed");
  await second.locator("#status", { hasText: "was put aside" }).waitFor();
  for (const name of ["Quay", "Lock"]) await second.locator(".item", { hasText: name }).waitFor();
  await addPlace(second, "Jetty");
  await second.evaluate(() => window.watersmeet.doc.saved());
  await first.locator(".item", { hasText: "Jetty" }).waitFor();
  const all = await hash(first);
  await second.close();
  await first.reload();
  await ready(first);
  assert.equal(await hash(first), all);
  assert.doesNotMatch(await first.locator("#status").textContent(), /put aside/);
});

story("a device without room says so, and the edits reach the server all the same", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const anna = await open(inAnnas, server, "full");
  await synced(anna);
  await anna.evaluate(() => {
    const add = IDBObjectStore.prototype.add;
    window.makeRoom = () => { IDBObjectStore.prototype.add = add; };
    IDBObjectStore.prototype.add = () => { throw new DOMException("There is no room left", "QuotaExceededError"); };
  });
  await addPlace(anna, "Reed");
  await anna.locator("#status", { hasText: "Edits cannot be stored on this device: There is no room left" }).waitFor();
  const claimed = await status(anna);
  assert.equal(claimed.onDevice, false);
  assert(claimed.notOnDevice > 0);
  await assert.rejects(anna.evaluate(() => window.watersmeet.doc.saved()), /no room left/);
  const ben = await open(inBens, server, "full");
  await ben.locator(".item", { hasText: "Reed" }).waitFor();
  await anna.evaluate(() => window.makeRoom());
  await anna.locator("#status", { hasText: "All changes saved on the server" }).waitFor();
  assert.equal((await status(anna)).onDevice, true);
  const before = await hash(anna);
  await goOffline(anna);
  await anna.reload();
  await ready(anna);
  assert.equal(await hash(anna), before);
});

story("people see each other's cursors and names", ["Anna", "Ben"], async (inAnnas, inBens) => {
  const [anna, ben] = [await open(inAnnas, server, "people"), await open(inBens, server, "people")];
  await anna.mouse.move(700, 300);
  await anna.mouse.move(720, 320);
  await ben.locator(".cursor", { hasText: "Anna" }).waitFor();
  await ben.locator("#people .count", { hasText: "2" }).waitFor();
  await anna.locator("#people").click();
  await anna.getByLabel("Your name", { exact: true }).last().fill("Annabel");
  await anna.getByRole("button", { name: "That’s me" }).click();
  await anna.mouse.move(700, 300);
  await anna.mouse.move(720, 320);
  await ben.locator(".cursor", { hasText: "Annabel" }).waitFor();
  await anna.close();
  await ben.locator(".cursor").waitFor({ state: "detached" });
  await ben.locator("#people .count", { hasText: "1" }).waitFor();
});

story("everything can be done with the keyboard", ["Anna"], async (inAnnas) => {
  const anna = await open(inAnnas, server, "keys");
  const keys = async (...pressed) => { for (const key of pressed) await anna.keyboard.press(key); };
  await keys("n");
  await anna.getByText("Tap the map where the place is").waitFor();
  await keys("Escape", "n", "Enter");
  await anna.keyboard.type("Landing");
  await keys("Enter", "Escape");
  assert.match(await anna.evaluate(() => document.activeElement.textContent), /^Landing/);
  await keys("/");
  await anna.keyboard.type("land");
  await keys("Tab", "Enter");
  await nameField(anna).waitFor();
  const id = (await anna.evaluate(() => window.watersmeet.doc.keys(["places"])))[0];
  const at = () => anna.evaluate((place) => window.watersmeet.doc.get(["places", place, "at"]), id);
  const before = await at();
  await anna.locator(`.pin[data-place="${id}"]`).focus();
  await keys("ArrowRight", "ArrowRight", "Shift+ArrowUp");
  const after = await at();
  assert(after[0] > before[0] && after[1] > before[1], `${before} to ${after}`);
  const unreachable = await anna.evaluate(() =>
    [...document.querySelectorAll("button, input, summary")]
      .filter((element) => element.checkVisibility() && (element.tabIndex < 0 || !(element.ariaLabel || element.textContent.trim() || element.labels?.length)))
      .map((element) => element.outerHTML),
  );
  assert.deepEqual(unreachable, []);
});

test("it fits a phone", async () => {
  const context = await person(browser, server, "Anna", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
  const page = await open(context, server, "phone");
  const places = [["Old mill", 100, 200], ["A place with quite a long name that does not fit on one line", 300, 290], ["Ford", 190, 340]];
  for (const [name, x, y] of places) {
    await page.getByRole("button", { name: "Add a place" }).tap();
    await page.touchscreen.tap(x, y);
    await nameField(page).fill(name);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "All places" }).tap();
  }
  await synced(page);
  await drawn(page);
  await screenshot(page, "phone-list");
  const wide = () => page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
  const fits = ([width, screen]) => assert(width <= screen, `${width} is wider than ${screen}`);
  fits(await wide());
  await select(page, "Old mill");
  await drawn(page);
  await screenshot(page, "phone-card");
  fits(await wide());
  const small = await page.evaluate(() =>
    [...document.querySelectorAll("button, input:not([type=checkbox]), .switch")]
      .filter((element) => element.checkVisibility() && !element.closest(".tag"))
      .map((element) => ({ is: element.className || element.id || element.textContent, box: element.getBoundingClientRect() }))
      .filter(({ is, box }) => is !== "handle" && (box.height < 44 || box.width < 44))
      .map(({ is, box }) => `${is}: ${box.width} x ${box.height}`),
  );
  assert.deepEqual(small, []);
  await context.close();
});

for (const [scheme, land, water] of [["light", [0xf4, 0xef, 0xe2], [0xb9, 0xd6, 0xd9]], ["dark", [0x1d, 0x31, 0x37], [0x0e, 0x21, 0x29]]]) {
  test(`a map in use, when the device prefers ${scheme}`, async () => {
    const [annas, bens] = [await person(browser, server, "Anna", { colorScheme: scheme }), await person(browser, server, "Ben")];
    const [page, ben] = [await open(annas, server, "the-valley"), await open(bens, server, "the-valley")];
    for (const each of [page, ben]) await each.evaluate(() => window.watersmeet.map.jumpTo({ center: [8, 48], zoom: 4.6 }));
    if (scheme === "light") {
      await page.evaluate(() => {
        const places = [
          ["Old mill", 9.4, 48.6, ["water", "museum"], 4], ["Hot spring", 12.9, 50.2, ["swim"], 2], ["Ferry landing", 4.8, 45.7, [], 0],
          ["Stone bridge", 7.1, 46.8, ["ruin", "1480"], 7], ["Beaver dam", 14.6, 47.4, ["quiet"], 1], ["Tidal island", -1.5, 48.6, ["tide", "walk"], 5],
        ];
        const { doc } = window.watersmeet;
        for (const [name, longitude, latitude, tags, votes] of places) {
          doc.edit((tx) => {
            const at = (field) => ["places", name.toLowerCase().replace(" ", "-"), field];
            tx.set(at("name"), name).set(at("at"), [longitude, latitude]).add(at("alive"), "Anna").increment(at("votes"), votes);
            for (const tag of tags) tx.add(at("tags"), tag);
          });
        }
      });
    }
    await converged(page, ben);
    await ben.mouse.move(850, 330);
    await ben.mouse.move(860, 340);
    await page.locator(".cursor", { hasText: "Ben" }).waitFor();
    await drawn(page);
    const image = await screenshot(page, `demo-${scheme}`);
    assert(near(await colourAt(page, image, [2.6, 47.4]), land));
    assert(near(await colourAt(page, image, [6.5, 42.2]), water));
    await select(page, "Stone bridge");
    await drawn(page);
    await screenshot(page, `demo-${scheme}-card`);
    await annas.close();
    await bens.close();
  });
}

test("no page asked for anything elsewhere", () => {
  assert.deepEqual(elsewhere, []);
});
