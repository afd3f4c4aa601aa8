import type { Change, Json, RawClient, Value } from "../wasm/watersmeet_wasm.js";
import { Flag, Guard, type HandleHost, List, RwSet } from "./handles.js";
import type { Keeper } from "./keeper.js";
import { Listeners, type Unsubscribe } from "./listeners.js";
import { Presence } from "./presence.js";
import { type Path, Transaction } from "./transaction.js";

/** Why the server does not take edits of a document, or does not open it. The edits are kept. */
export interface Refusal {
  /** For programs: `forbidden`, `full`, `rate` and others, listed in docs/wire.md. */
  readonly code: string;
  /** For people. */
  readonly message: string;
  /** Whether it lasts until somebody does something: gives a right, removes something. */
  readonly lasting: boolean;
}

/** Where a document's edits are. */
export interface Status {
  /** Whether the document is being synced at this moment. */
  readonly live: boolean;
  /** Whether every edit made here is on this device's disk. Never so without a database. */
  readonly onDevice: boolean;
  /** Whether every edit in the document is known to be on the server's disk. */
  readonly onServer: boolean;
  /** How many edits made here are not on this device's disk yet. */
  readonly notOnDevice: number;
  /** How many edits are not known to be on the server's disk yet. */
  readonly notOnServer: number;
  /** Why the server refuses the document, or edits of it; null if it does not. What it refuses is not `onServer`. */
  readonly refused: Refusal | null;
  /** What keeps edits from being stored or accepted, in words; null if nothing does. */
  readonly problem: string | null;
}

/** What changed in a document. */
export interface DocEvent {
  /** What changed, precisely enough to follow the document without reading it again. */
  readonly changes: readonly Change[];
  /** Whether it was edited here, in this tab. */
  readonly local: boolean;
}

/** How long to wait for something. */
export interface WaitOptions {
  /** Gives up waiting, say `AbortSignal.timeout(5000)`. */
  signal?: AbortSignal;
}

/** What a document needs of its client. @internal */
export interface DocHost {
  raw: RawClient;
  /** Lets the core do what it has to do now. */
  poll(): void;
  /** Called at the first edit. */
  edited(): void;
}

/**
 * A document: a tree of registers, counters, sets, lists, flags and maps, read and edited at once, on or off line.
 *
 * ```ts
 * doc.edit((tx) => {
 *   tx.set(["places", "mill", "name"], "Old mill");
 *   tx.add(["places", "mill", "tags"], "water");
 *   tx.increment(["places", "mill", "votes"]);
 * });
 * doc.get(["places", "mill", "name"]); // "Old mill"
 * ```
 */
export class Doc {
  /** The document's name. */
  readonly name: string;
  /** Who else is here. */
  readonly presence: Presence;
  readonly #host: DocHost;
  readonly #raw: RawClient;
  readonly #handles: HandleHost;
  readonly #changes = new Listeners<DocEvent>();
  readonly #statuses = new Listeners<Status>();
  #keeper: Keeper | undefined;
  #storeProblem: string | null = null;
  #damage: string | null = null;
  #reported = "";

  /** @internal */
  constructor(name: string, host: DocHost) {
    this.name = name;
    this.#host = host;
    this.#raw = host.raw;
    this.#handles = { name, raw: host.raw, edit: (build) => this.edit(build) };
    this.presence = new Presence((state) => {
      this.#raw.present(name, state);
      host.poll();
    });
  }

  /**
   * Edits the document. `build` is called at once; its operations are applied together when it returns. If it, or an
   * operation, throws, nothing has changed. Reads inside it see the document as it was.
   */
  edit(build: (tx: Transaction) => void): void {
    const transaction = new Transaction();
    const answer: unknown = build(transaction);
    const ops = transaction.finish();
    if (answer instanceof Promise) throw new TypeError("an edit cannot wait; do what is async before it");
    const { changes, delta, version } = this.#raw.edit(this.name, Date.now(), ops);
    if (delta.length > 0) this.#keeper?.keep(delta, version);
    this.#host.edited();
    this.#changed(changes, true);
    this.#host.poll();
    this.report();
  }

  /** The value of the register at `path`; undefined if there is none. */
  get(path: Path): Value | undefined {
    return this.#raw.get(this.name, path);
  }

  /** What others wrote to the register at `path` at the same time as its value. Empty if all agree. */
  conflicts(path: Path): Value[] {
    return this.#raw.conflicts(this.name, path);
  }

  /** The value of the counter at `path`; 0 if there is none. */
  count(path: Path): number {
    return this.#raw.count(this.name, path);
  }

  /** The items of the set at `path`, in a fixed order. */
  items(path: Path): Value[] {
    return this.#raw.items(this.name, path);
  }

  /** The list at `path`, whether or not anything is in it yet. */
  list(path: Path): List {
    return new List(this.#handles, path);
  }

  /** The remove-wins set at `path`, whether or not anything is in it yet. */
  rwset(path: Path): RwSet {
    return new RwSet(this.#handles, path);
  }

  /** The flag at `path`, which is down until somebody raises it. */
  flag(path: Path): Flag {
    return new Flag(this.#handles, path);
  }

  /** The guard at `path`, which is up until somebody lowers it. */
  guard(path: Path): Guard {
    return new Guard(this.#handles, path);
  }

  /** The keys of the map at `path`, in order. */
  keys(path: Path = []): string[] {
    return this.#raw.keys(this.name, path);
  }

  /**
   * The map at `path`, or the whole document, as a plain object: registers as their values, counters as numbers, sets
   * and lists as arrays, flags as booleans (a guard that is up, and a flag that is down, are not there). Where peers
   * created several kinds under one name, the first of map, list, register, set, remove-wins set, counter, flag, guard
   * is shown; the others are reached by `list`, `get`, `items`, `rwset`, `count`, `flag` and `guard`.
   */
  toJSON(path: Path = []): { [key: string]: Json } | undefined {
    return this.#raw.toJSON(this.name, path);
  }

  /** The name of the document's state: equal wherever the state is equal. */
  hash(): string {
    return this.#raw.hash(this.name);
  }

  /** How many edits of each replica are in the document. */
  version(): Map<number, number> {
    return pairs(this.#raw.version(this.name));
  }

  /** The whole document as bytes, say for a backup. */
  state(): Uint8Array {
    return this.#raw.state(this.name);
  }

  /** Merges what {@link state} gave here or elsewhere into the document. Nothing that is in it is lost. */
  merge(state: Uint8Array): void {
    const changes = this.#raw.takeIn(this.name, state);
    if (!changes) throw new Error("these bytes are a part of a document, not the whole of it");
    this.#keeper?.keep(state, this.#raw.version(this.name));
    this.#changed(changes, false);
    this.#host.poll();
    this.report();
  }

  /** Tells of every change from now on, whoever makes it. */
  subscribe(listener: (event: DocEvent) => void): Unsubscribe {
    return this.#changes.add(listener);
  }

  /** Where the edits are at this moment. */
  get status(): Status {
    const { live, notOnServer, refused } = this.#raw.status(this.name);
    const refusal = refused && `The server refuses this document, or edits of it: ${refused.message}`;
    const notOnDevice = this.#own(this.#raw.version(this.name)) - this.#own(this.#keeper?.stored);
    return {
      live,
      onDevice: this.#keeper !== undefined && notOnDevice === 0,
      onServer: notOnServer === 0,
      notOnDevice,
      notOnServer,
      refused: refused ?? null,
      problem: refusal ?? this.#storeProblem ?? this.#damage,
    };
  }

  /** How many edits `version` has that were made here. */
  #own(version: Float64Array | undefined): number {
    return version ? (pairs(version).get(this.#raw.replica) ?? 0) : 0;
  }

  /** Tells where the edits are from now on, at first at once. */
  onStatus(listener: (status: Status) => void): Unsubscribe {
    const unsubscribe = this.#statuses.add(listener);
    listener(this.status);
    return unsubscribe;
  }

  /** Waits until all edits made here are on this device's disk. Throws if they cannot be stored. */
  saved(options: WaitOptions = {}): Promise<void> {
    return this.#until((status) => {
      if (!this.#keeper) throw new Error("this client has no database, so nothing is saved on this device");
      if (this.#keeper.failing) throw new Error(status.problem ?? "edits cannot be stored on this device");
      return status.onDevice;
    }, options);
  }

  /**
   * Waits until all edits in the document are on the server's disk. That may take until there is a network. Throws if
   * the server refuses them.
   */
  synced(options: WaitOptions = {}): Promise<void> {
    return this.#until((status) => {
      if (status.refused?.lasting) throw new Error(status.problem ?? status.refused.message);
      return status.onServer && status.live;
    }, options);
  }

  #until(reached: (status: Status) => boolean, { signal }: WaitOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        unsubscribe?.();
        signal?.removeEventListener("abort", abort);
        settle();
      };
      const abort = () => finish(() => reject(signal?.reason));
      const look = (status: Status) => {
        try {
          if (reached(status)) finish(resolve);
        } catch (error) {
          finish(() => reject(error));
        }
      };
      if (signal?.aborted) return reject(signal.reason);
      const unsubscribe: Unsubscribe | undefined = this.#statuses.add(look);
      signal?.addEventListener("abort", abort);
      look(this.status);
    });
  }

  /** @internal */
  keepBy(keeper: Keeper): void {
    this.#keeper = keeper;
  }

  /** @internal */
  get keeper(): Keeper | undefined {
    return this.#keeper;
  }

  /** @internal Others' edits have come in, from the server or another tab. */
  changed(changes: readonly Change[]): void {
    this.#changed(changes, false);
  }

  #changed(changes: readonly Change[], local: boolean): void {
    if (changes.length > 0) this.#changes.tell({ changes, local });
  }

  /** @internal Storing fails, or works again. */
  storing(problem: string | null): void {
    this.#storeProblem = problem;
    this.report();
  }

  /** @internal Some of what was stored cannot be read. */
  damaged(problem: string): void {
    this.#damage = problem;
    this.report();
  }

  /** @internal */
  get host(): DocHost {
    return this.#host;
  }

  /** @internal Tells if the status has changed. */
  report(): void {
    const status = this.status;
    if (!status.live) this.presence.forget();
    const shown = JSON.stringify(status);
    if (shown === this.#reported) return;
    this.#reported = shown;
    const onServer = this.#raw.onServer(this.name);
    if (onServer) this.#keeper?.keepOnServer(onServer);
    this.#statuses.tell(status);
  }
}

function pairs(flat: Float64Array): Map<number, number> {
  const map = new Map<number, number>();
  for (let i = 0; i + 1 < flat.length; i += 2) map.set(flat[i] as number, flat[i + 1] as number);
  return map;
}
