import { Doc, type DocHost } from "./doc.js";
import { type Connection, Engine, type TokenSource } from "./engine.js";
import { Keeper } from "./keeper.js";
import { Listeners, type Unsubscribe } from "./listeners.js";
import { createRawClient } from "./module.js";
import { Store } from "./store.js";
import { type Lease, Tabs, leaseFresh, leaseReplica } from "./tabs.js";
import type { Action, Change, RawClient } from "../wasm/watersmeet_wasm.js";

/** How a client connects. */
export interface ConnectOptions {
  /** What proves who this is, if the server asks for that. It is sent in the first message, never in the URL. */
  token?: TokenSource;
  /**
   * Whether to go where a server that drains says, which is then shown the token, too. True unless said otherwise; never
   * from `wss` to `ws`, and only until there is a connection again.
   */
  followRedirects?: boolean;
}

/** How a client is made. */
export interface ClientOptions extends ConnectOptions {
  /** The server to connect to at once: `wss://…`, `https://…`, or relative to the page. Without it, see `connect`. */
  url?: string;
  /** The IndexedDB database that keeps documents on this device; null for memory only. */
  database?: string | null;
}

/** What a client tells about itself. */
export interface ClientState {
  readonly connection: Connection;
  /** What is wrong with the connection or the database, in words; null if nothing is. */
  readonly problem: string | null;
  /** Why the connection ended, for programs, such as `unauthenticated` or `expired`; null while nothing is wrong. */
  readonly code: string | null;
}

const DATABASE = "watersmeet";

/**
 * Documents, kept on this device and synced with a server whenever there is one.
 *
 * ```ts
 * await init();
 * const client = await Client.create({ url: "/sync" });
 * const doc = await client.open("demo");
 * ```
 */
export class Client {
  readonly #engine: Engine;
  /** One more for each document that must not be edited under this client's id. */
  readonly #engines: Engine[] = [];
  readonly #host: DocHost;
  readonly #docs = new Map<string, Doc>();
  readonly #opening = new Map<string, Promise<Doc>>();
  /** Documents of which another tab told something while they were being read. */
  readonly #missed = new Set<string>();
  readonly #listeners = new Listeners<ClientState>();
  readonly #store: Store | undefined;
  readonly #tabs: Tabs | undefined;
  readonly #leases: Lease[] = [];
  #url: string | undefined;
  #token: TokenSource | undefined;
  #follow: boolean;
  #connectionProblem: { message: string; code: string } | null = null;
  #storeProblem: string | null;
  #askedToPersist = false;

  private constructor({ url, token, followRedirects = true }: ClientOptions, store?: Store, lease?: Lease, problem: string | null = null) {
    this.#store = store;
    if (lease) this.#leases.push(lease);
    this.#storeProblem = problem;
    this.#engine = this.#addEngine(lease?.replica);
    this.#host = this.#hostOf(this.#engine);
    if (store) {
      this.#tabs = new Tabs(store.name, (name, delta) => this.#onOtherTab(name, delta));
      store.onLost = () => this.#docs.forEach((doc) => doc.keeper?.rewrite());
    }
    this.#token = token;
    this.#follow = followRedirects;
    if (url !== undefined) this.connect(url);
  }

  /**
   * Makes a client. If the browser has no database for us (private mode, no room), it works in memory, and says so:
   * see {@link problem} and {@link Doc.status}.
   */
  static async create(options: ClientOptions = {}): Promise<Client> {
    const { database = DATABASE } = options;
    if (database === null) return new Client(options);
    const store = new Store(database);
    let lease: Lease;
    try {
      await store.open();
      lease = await leaseReplica(store);
    } catch (error) {
      return new Client(options, undefined, undefined, `Nothing can be kept on this device: ${words(error)}`);
    }
    return new Client(options, store, lease);
  }

  /** The database's name; null in memory. */
  get database(): string | null {
    return this.#store?.name ?? null;
  }

  /** Under which id this client edits. Never two at once edit under one. */
  get replica(): number {
    return this.#engine.raw.replica;
  }

  /** Whether there is a connection: `offline` if none is wanted, `connecting` if one is wanted, `online` if there is. */
  get connection(): Connection {
    return this.#engine.connection;
  }

  /** What is wrong with the connection or the database, in words; null if nothing is. */
  get problem(): string | null {
    return this.#storeProblem ?? this.#connectionProblem?.message ?? null;
  }

  /**
   * Connects, and connects again whenever the connection is lost, until {@link disconnect}. Without a token it shows the
   * one that was given before.
   *
   * ```ts
   * client.connect("wss://maps.example/sync", { token: () => fetch("/token").then((answer) => answer.text()) });
   * ```
   */
  connect(
    url: string | undefined = this.#url,
    { token = this.#token, followRedirects = this.#follow }: ConnectOptions = {},
  ): void {
    if (url === undefined) throw new TypeError("connect needs a url, here or in Client.create");
    this.#url = url;
    this.#token = token;
    this.#follow = followRedirects;
    for (const engine of this.#engines) engine.connect(socketUrl(url), token, followRedirects);
  }

  /** Goes offline, and stays so until {@link connect}. Documents can be read and edited all the same. */
  disconnect(): void {
    for (const engine of this.#engines) engine.disconnect();
  }

  /** Tells of the connection and of problems from now on, at first at once. */
  subscribe(listener: (state: ClientState) => void): Unsubscribe {
    const unsubscribe = this.#listeners.add(listener);
    listener(this.#state());
    return unsubscribe;
  }

  /** Opens a document: reads what this device has of it, and keeps it synced from now on. */
  open(name: string): Promise<Doc> {
    if (typeof name !== "string" || name === "") throw new TypeError("a document's name is a text that is not empty");
    let opening = this.#opening.get(name);
    if (!opening) {
      opening = this.#open(name).catch((error: unknown) => {
        this.#opening.delete(name);
        throw error;
      });
      this.#opening.set(name, opening);
    }
    return opening;
  }

  async #open(name: string): Promise<Doc> {
    let doc = new Doc(name, this.#host);
    try {
      if (this.#store) await this.#read(doc, this.#store);
      else this.#enter(doc, [], undefined);
    } catch (error) {
      this.#docs.delete(name);
      this.#host.raw.close(name);
      if (!(error instanceof Damaged) || !this.#store) throw error;
      doc = await this.#salvage(name, this.#store, error.message);
    }
    if (this.#missed.delete(name)) await this.#catchUp(doc);
    doc.host.poll();
    return doc;
  }

  async #read(doc: Doc, store: Store): Promise<void> {
    const { raw } = doc.host;
    await store.read(doc.name, ({ deltas, onServer, retired }) => {
      if (retired.includes(raw.replica)) throw new Damaged("its edits under this id may be missing");
      try {
        this.#enter(doc, deltas, onServer);
      } catch (cause) {
        throw new Damaged(words(cause), { cause });
      }
      doc.keepBy(this.#keeper(doc, store));
      return raw.state(doc.name);
    });
  }

  /**
   * Opens what can be read of a document, under an id of its own: edits made under ours may be among what cannot.
   * A core has one id, so this document gets one of its own, and a connection. After a reload one does for all.
   */
  async #salvage(name: string, store: Store, why: string): Promise<Doc> {
    const lease = await leaseFresh(store);
    this.#leases.push(lease);
    const doc = new Doc(name, this.#hostOf(this.#addEngine(lease.replica)));
    const { raw } = doc.host;
    let lost = 0;
    await store.salvage(name, lease.replica, ({ deltas, onServer }) => {
      this.#enter(doc, [], onServer);
      const taken = deltas.map((delta) => canTakeIn(raw, name, delta));
      raw.stored(name, raw.version(name));
      doc.keepBy(this.#keeper(doc, store));
      lost = taken.filter((could) => !could).length;
      return taken;
    });
    if (lost > 0) {
      doc.damaged(`Some of what this device kept cannot be read and was put aside (${why}). The rest comes from the server.`);
      this.#tabs?.askForAll(name);
    }
    return doc;
  }

  #addEngine(replica: number | undefined): Engine {
    const isFirst = this.#engines.length === 0;
    const engine = new Engine(createRawClient(replica, this.#store !== undefined), {
      notice: (notice) => this.#onNotice(notice),
      connection: (connection) => isFirst && this.#onConnection(connection),
      failed: (message, code) => isFirst && this.#onFailure(message, code),
    });
    this.#engines.push(engine);
    if (!isFirst && this.connection !== "offline" && this.#url !== undefined) {
      engine.connect(socketUrl(this.#url), this.#token, this.#follow);
    }
    return engine;
  }

  #hostOf(engine: Engine): DocHost {
    return { raw: engine.raw, poll: () => engine.poll(), edited: () => this.#persist() };
  }

  /**
   * The core knows the document from here on, and tells of what comes in for it. So whoever stores that has to be
   * there before anything else happens, such as the end of the transaction that reads.
   */
  #enter(doc: Doc, deltas: Uint8Array[], onServer: Float64Array | undefined): void {
    doc.host.raw.open(doc.name, deltas, onServer);
    this.#docs.set(doc.name, doc);
  }

  #keeper(doc: Doc, store: Store): Keeper {
    return new Keeper(doc.name, doc.host.raw, store, {
      stored: (delta) => this.#tabs?.tell(doc.name, delta),
      crowded: () => this.#readAgain(doc),
      changed: () => {
        doc.host.poll();
        doc.report();
      },
      problem: (error) => {
        const problem = error === undefined ? null : `Edits cannot be stored on this device: ${words(error)}`;
        this.#storeProblem = problem;
        doc.storing(problem);
        this.#tell();
      },
    });
  }

  /** Ends the connection, stores what is left to store, and lets go of everything. */
  async close(): Promise<void> {
    this.disconnect();
    this.#tabs?.close();
    await Promise.allSettled(this.#opening.values());
    await Promise.all([...this.#docs.values()].map((doc) => doc.keeper?.stop()));
    for (const doc of this.#docs.values()) doc.host.raw.close(doc.name);
    this.#docs.clear();
    this.#opening.clear();
    await this.#store?.close();
    for (const lease of this.#leases) lease.release();
  }

  #onNotice(notice: Extract<Action, { name: string }>): void {
    const doc = this.#docs.get(notice.name);
    if (!doc) return;
    switch (notice.type) {
      case "changed":
        doc.keeper?.keep(notice.delta, notice.version);
        return doc.changed(notice.changes);
      case "status":
        return doc.report();
      case "presence":
        return doc.presence.hear(notice.peer, notice.state);
      case "refused":
        return doc.report();
    }
  }

  #onConnection(connection: Connection): void {
    if (connection !== "connecting") this.#connectionProblem = null;
    this.#tell();
  }

  #onFailure(message: string, code: string): void {
    this.#connectionProblem = { message, code };
    this.#tell();
  }

  #onOtherTab(name: string, delta: Uint8Array | undefined): void {
    const doc = this.#docs.get(name);
    if (!doc) {
      if (this.#opening.has(name)) this.#missed.add(name);
      return;
    }
    if (!delta) return doc.keeper?.rewrite();
    let changes: Change[] | undefined;
    try {
      changes = doc.host.raw.takeIn(name, delta);
    } catch (error) {
      // A tab that was opened before an update is still of the version before.
      return doc.damaged(`What another tab stored cannot be read here (${words(error)}). Reload both.`);
    }
    if (!changes) return void this.#catchUp(doc);
    doc.changed(changes);
    doc.host.poll();
    doc.report();
  }

  async #catchUp(doc: Doc): Promise<void> {
    await this.#readAgain(doc).catch((error: unknown) => doc.storing(words(error)));
  }

  /**
   * Takes in what other tabs have stored; it is in the store in an order without gaps. The store may then replace it
   * by the state that contains it.
   */
  async #readAgain(doc: Doc): Promise<void> {
    const { name, host: { raw } } = doc;
    await this.#store?.read(name, ({ deltas }) => {
      const taken = deltas.map((delta) => raw.takeIn(name, delta));
      doc.changed(taken.flatMap((changes) => changes ?? []));
      // What is stored must not be replaced by a state that lacks some of it.
      return taken.includes(undefined) ? undefined : raw.state(name);
    });
    doc.host.poll();
    doc.report();
  }

  /** Asks the browser once, at the first edit, to keep our database when it runs out of room. */
  #persist(): void {
    if (this.#askedToPersist || !this.#store) return;
    this.#askedToPersist = true;
    // A browser that says no has said it; documents are kept as long as it likes.
    globalThis.navigator?.storage?.persist?.().catch(() => false);
  }

  #state(): ClientState {
    return { connection: this.connection, problem: this.problem, code: this.#connectionProblem?.code ?? null };
  }

  #tell(): void {
    this.#listeners.tell(this.#state());
  }
}

function socketUrl(url: string): string {
  const absolute = new URL(url, globalThis.location?.href);
  absolute.protocol = absolute.protocol.replace(/^http/, "ws");
  return absolute.href;
}

/** Not all that is stored of a document can be read. */
class Damaged extends Error {}

function canTakeIn(raw: RawClient, name: string, delta: unknown): boolean {
  try {
    return delta instanceof Uint8Array && raw.takeIn(name, delta) !== undefined;
  } catch {
    return false;
  }
}

function words(error: unknown): string {
  return error instanceof Error || error instanceof DOMException ? error.message || error.name : String(error);
}
