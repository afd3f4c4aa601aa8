/** Stores one document's deltas: in order, one transaction at a time, again and again until it has succeeded. */

import type { RawClient } from "../wasm/watersmeet_wasm.js";
import type { Store } from "./store.js";

/** What happened to a document and is to be stored. */
interface Pending {
  delta: Uint8Array;
  /** For edits made here: the version that is stored with it. */
  version: Float64Array | undefined;
}

const RETRY_FIRST_MILLIS = 1_000;
const RETRY_MAX_MILLIS = 60_000;
/** After so many deltas of a tab that stays open, what is stored is made one state. */
const ROWS_MAX = 256;

/** What a keeper tells. */
export interface KeeperEvents {
  /** This is on the disk. */
  stored(delta: Uint8Array): void;
  /** Storing fails, or, with undefined, works again. */
  problem(error: unknown): void;
  /** The core may have something to do. */
  changed(): void;
  /** Many rows are stored, which one state could replace. */
  crowded(): Promise<void>;
}

export class Keeper {
  readonly #name: string;
  readonly #raw: RawClient;
  readonly #store: Store;
  readonly #events: KeeperEvents;
  #pending: Pending[] = [];
  /** Whether what is stored has a gap, so that only a whole state helps. */
  #gap = false;
  #isWorking = false;
  #working: Promise<void> | undefined;
  #stopped = false;
  /** How many deltas were stored here since they were last made one state. */
  #rows = 0;
  #onServer: Float64Array | undefined;
  #onServerWritten: Float64Array | undefined;
  /** The version up to which edits made here are on the disk. */
  stored: Float64Array;
  #wake: (() => void) | undefined;

  constructor(name: string, raw: RawClient, store: Store, events: KeeperEvents) {
    this.#name = name;
    this.#raw = raw;
    this.#store = store;
    this.#events = events;
    this.stored = raw.version(name);
  }

  /** Whether storing has failed and not succeeded since. */
  get failing(): boolean {
    return this.#gap;
  }

  keep(delta: Uint8Array, version?: Float64Array): void {
    this.#pending.push({ delta, version });
    this.#work();
  }

  /** Stores what the server is known to have, if that is news. */
  keepOnServer(onServer: Float64Array): void {
    const known = this.#onServer;
    if (known && known.length === onServer.length && known.every((n, i) => n === onServer[i])) return;
    this.#onServer = onServer;
    this.#work();
  }

  /** The store was lost; what is in memory has to be written anew. */
  rewrite(): void {
    this.#gap = true;
    this.#work();
  }

  /** Stores what there is, trying once more if that fails, and then never again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake?.();
    await this.#working;
  }

  #work(): void {
    if (this.#isWorking) return;
    this.#isWorking = true;
    this.#working = this.#run();
  }

  async #run(): Promise<void> {
    try {
      for (let wait = RETRY_FIRST_MILLIS; this.#hasWork(); ) {
        if (await this.#step()) wait = RETRY_FIRST_MILLIS;
        else if (this.#stopped) return;
        else wait = await this.#pause(wait);
      }
    } finally {
      // With no microtask since the last look at what there is to do: an edit in between would start nothing.
      this.#isWorking = false;
    }
  }

  #hasWork(): boolean {
    return this.#pending.length > 0 || this.#gap || this.#onServer !== this.#onServerWritten;
  }

  /** Stores what there is; whether that went well. */
  async #step(): Promise<boolean> {
    const batch = this.#pending.splice(0);
    const onServer = this.#onServer;
    try {
      await this.#write(batch, onServer);
      this.#onServerWritten = onServer;
      await this.#compact();
      return true;
    } catch (error) {
      this.#gap = true;
      this.#events.problem(error);
      await this.#sendUnstored();
      return false;
    }
  }

  async #write(batch: Pending[], onServer: Float64Array | undefined): Promise<void> {
    const { deltas, version } = this.#gap ? this.#everything() : together(batch);
    await this.#store.write(this.#name, { deltas, onServer, precious: version !== undefined });
    if (this.#gap) {
      this.#gap = false;
      this.#events.problem(undefined);
    }
    this.#rows += deltas.length;
    for (const delta of deltas) this.#events.stored(delta);
    if (version) {
      this.stored = version;
      this.#raw.stored(this.#name, version);
      this.#events.changed();
    }
  }

  async #compact(): Promise<void> {
    if (this.#rows < ROWS_MAX) return;
    this.#rows = 0;
    // Deltas that stay are as good; after as many more it is tried again.
    await this.#events.crowded().catch(() => undefined);
  }

  #everything(): { deltas: Uint8Array[]; version: Float64Array } {
    return { deltas: [this.#raw.state(this.#name)], version: this.#raw.version(this.#name) };
  }

  /**
   * What cannot be stored here is better off on the server than in memory alone. That is safe only if nobody ever
   * edits under our id from what is stored, where these edits are missing.
   */
  async #sendUnstored(): Promise<void> {
    const version = this.#raw.version(this.#name);
    try {
      await this.#store.forgetReplica(this.#raw.replica);
    } catch {
      return;
    }
    this.#raw.stored(this.#name, version);
    this.#events.changed();
  }

  /** Waits; answers with how long to wait the next time. */
  async #pause(millis: number): Promise<number> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, millis);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    return Math.min(2 * millis, RETRY_MAX_MILLIS);
  }
}

function together(batch: Pending[]): { deltas: Uint8Array[]; version: Float64Array | undefined } {
  return {
    deltas: batch.map(({ delta }) => delta),
    version: batch.reduce<Float64Array | undefined>((last, { version }) => version ?? last, undefined),
  };
}
