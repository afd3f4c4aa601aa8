// How a client shows its token, and what it tells of what is refused, with a server that is made up frame by frame.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, before, beforeEach, test } from "node:test";
import { Client, init } from "../dist/index.js";

before(async () => {
  await init({ module: await readFile(new URL("../wasm/watersmeet_wasm_bg.wasm", import.meta.url)) });
});

/** A socket of which a test is the other end. */
class Socket {
  static OPEN = 1;
  static CONNECTING = 0;
  static all = [];
  readyState = 0;
  sent = [];

  constructor(url) {
    this.url = url;
    Socket.all.push(this);
  }

  open() {
    this.readyState = Socket.OPEN;
    this.onopen();
  }

  send(bytes) {
    this.sent.push([...bytes]);
  }

  hear(...bytes) {
    this.onmessage?.({ data: new Uint8Array(bytes.flat()).buffer });
  }

  close() {
    this.readyState = 3;
  }
}

const text = (words) => [words.length, ...new TextEncoder().encode(words)];
const hello = [0, 3, 9, 0];
const opened = [2, ...text("map"), 1, 0];
const refused = (code, message) => [10, ...text("map"), code, ...text(message)];
const acknowledged = (replica, events) => [5, 1, 1, ...number(replica), events];
const number = (n) => (n < 128 ? [n] : [(n % 128) + 128, ...number(Math.floor(n / 128))]);
/** The token in the greeting that a socket was sent. */
const tokenIn = ({ sent: [[kind, protocol, ...rest]] }) => {
  assert.deepEqual([kind, protocol], [0, 3]);
  const length = rest.findIndex((byte) => byte < 128) + 1;
  return new TextDecoder().decode(new Uint8Array(rest.slice(length + 1, length + 1 + rest[length])));
};
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
};

let client;
const original = globalThis.WebSocket;
beforeEach(async () => {
  globalThis.WebSocket = Socket;
  Socket.all = [];
  client = await Client.create({ database: null });
});
afterEach(async () => {
  await client.close();
  globalThis.WebSocket = original;
});

test("a token is shown in the first message and not in the URL", () => {
  client.connect("ws://server.example/sync", { token: "jwt" });
  const [socket] = Socket.all;
  socket.open();
  assert.equal(socket.url, "ws://server.example/sync");
  assert.equal(tokenIn(socket), "jwt");
});

test("a provider is asked before each attempt, and its failure is told", async () => {
  const answers = [async () => "first", async () => { throw new Error("log in first"); }, () => "third"];
  const problems = [];
  client.subscribe(({ problem, code }) => problem && problems.push([code, problem]));
  client.connect("ws://server.example/sync", { token: () => answers.shift()() });
  await until(() => Socket.all.length === 1);
  Socket.all[0].open();
  assert.equal(tokenIn(Socket.all[0]), "first");
  // The server says that the token has expired, and hangs up.
  Socket.all[0].hear(11, 11, ...text("the token has expired"));
  assert.equal(problems.at(-1)[0], "expired");
  await until(() => Socket.all.length === 2);
  Socket.all[1].open();
  assert.equal(tokenIn(Socket.all[1]), "third");
  assert.ok(problems.some(([code, problem]) => code === "no-token" && problem.includes("log in first")));
});

test("a token that comes too late opens nothing", async () => {
  let give;
  client.connect("ws://server.example/sync", { token: () => new Promise((resolve) => (give = resolve)) });
  await until(() => give);
  client.disconnect();
  give("late");
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(Socket.all.length, 0);
});

test("an edit that is refused is shown as refused, is kept, and is not on the server until it is", async () => {
  const doc = await client.open("map");
  client.connect("ws://server.example/sync", { token: "jwt" });
  const [socket] = Socket.all;
  socket.open();
  socket.hear(hello);
  socket.hear(opened);
  const statuses = [];
  doc.onStatus((status) => statuses.push(status));
  doc.edit((tx) => tx.set(["x"], 1));
  socket.hear(refused(12, "no right to write"));
  const { refused: why, onServer, notOnServer, live, problem } = statuses.at(-1);
  assert.deepEqual(why, { code: "forbidden", message: "no right to write", lasting: true });
  assert.deepEqual([onServer, notOnServer, live], [false, 1, true]);
  assert.match(problem, /no right to write/);
  await assert.rejects(doc.synced(), /no right to write/);
  assert.equal(doc.get(["x"]), 1);
  // What is edited now is not sent in vain, and is not shown as saved either.
  const sent = socket.sent.length;
  doc.edit((tx) => tx.set(["y"], 2));
  assert.equal(socket.sent.length, sent);
  assert.deepEqual([doc.status.notOnServer, doc.status.refused?.code], [2, "forbidden"]);
  // The right was given: the next connection brings everything.
  client.disconnect();
  client.connect();
  const again = Socket.all[1];
  again.open();
  assert.equal(tokenIn(again), "jwt");
  again.hear(hello);
  again.hear(opened);
  assert.equal(doc.status.refused, null);
  again.hear(acknowledged(client.replica, 2));
  assert.deepEqual([doc.status.onServer, doc.status.refused], [true, null]);
});

test("edits that came too fast wait until the server asks for them", async () => {
  const doc = await client.open("map");
  client.connect("ws://server.example/sync");
  const [socket] = Socket.all;
  socket.open();
  socket.hear(hello);
  socket.hear(opened);
  doc.edit((tx) => tx.set(["x"], 1));
  socket.hear(refused(15, "too fast"));
  assert.deepEqual([doc.status.refused?.code, doc.status.refused?.lasting], ["rate", false]);
  const sent = socket.sent.length;
  doc.edit((tx) => tx.set(["y"], 2));
  assert.equal(socket.sent.length, sent);
  socket.hear(6, 1, 0);
  assert.equal(socket.sent.length, sent + 1, "all that is lacking, as one group");
  assert.equal(doc.status.refused, null);
  assert.equal(doc.status.onServer, false);
  socket.hear(acknowledged(client.replica, 2));
  assert.equal(doc.status.onServer, true);
});

test("a server that drains names another, which is gone to unless that is less secure or not wanted", async () => {
  const goodbye = (url) => [[15, ...text(url)], [11, 9, ...text("going down")]];
  const next = async (own, named, options) => {
    client.disconnect();
    client.connect(own, { token: "jwt", ...options });
    const socket = Socket.all.at(-1);
    socket.open();
    socket.hear(hello);
    for (const frame of goodbye(named)) socket.hear(frame);
    await until(() => Socket.all.at(-1) !== socket);
    return Socket.all.at(-1);
  };
  const other = await next("wss://a.example/sync", "wss://b.example/sync", {});
  assert.equal(other.url, "wss://b.example/sync");
  // Nobody is there: back to the usual one.
  other.onclose();
  await until(() => Socket.all.at(-1) !== other);
  assert.equal(Socket.all.at(-1).url, "wss://a.example/sync");
  assert.equal((await next("wss://a.example/sync", "ws://b.example/sync", {})).url, "wss://a.example/sync");
  assert.equal((await next("ws://a.example/sync", "ws://b.example/sync", {})).url, "ws://b.example/sync");
  const stays = await next("ws://a.example/sync", "ws://b.example/sync", { followRedirects: false });
  assert.equal(stays.url, "ws://a.example/sync");
});
