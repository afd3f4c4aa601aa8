/**
 * What is kept on this device, in IndexedDB.
 *
 * The one idea: deltas are only ever added, in the order in which they happened here, and are only ever deleted in
 * the same transaction that adds a state containing them. So whatever moment the device loses power in, what was
 * reported as stored is there.
 */

/** What is stored of a document. */
export interface Stored {
  /** In the order in which they were stored. */
  deltas: Uint8Array[];
  /** What the server was known to have. */
  onServer: Float64Array | undefined;
}

/** What is to be stored of a document, together. */
export interface Write {
  deltas: Uint8Array[];
  onServer: Float64Array | undefined;
  /** Whether the deltas hold edits made here, which nobody else has yet. */
  precious: boolean;
}

interface DeltaRow {
  name: string;
  delta: Uint8Array;
}

/** With more deltas than this, reading a document replaces them by one state. */
const DELTAS_MAX = 64;

const SCHEMA = 1;

export class Store {
  readonly name: string;
  #opening: Promise<IDBDatabase> | undefined;
  /** Called when the browser has closed or deleted the database under us: what is in memory must be written again. */
  onLost: () => void = () => {};

  constructor(name: string) {
    this.name = name;
  }

  /** Opens the database. Throws if this browser has none, or none for us. */
  async open(): Promise<void> {
    await this.#database();
  }

  /**
   * Reads a document. `build` is given what is stored; what it answers with, a state that contains all of it,
   * replaces the deltas if there are many. If it answers with none, or replacing fails, all stays as it was.
   *
   * All of it is one transaction: what another tab writes comes either before the reading or after the state.
   */
  async read(name: string, build: (stored: Stored) => Uint8Array | undefined): Promise<void> {
    let built: { error?: unknown } | undefined;
    const take = (deltas: IDBObjectStore, stored: Stored, keys: IDBValidKey[]) => {
      try {
        const state = build(stored);
        built = {};
        if (!state || keys.length <= DELTAS_MAX) return;
        deltas.add({ name, delta: state } satisfies DeltaRow);
        for (const key of keys) deltas.delete(key);
      } catch (error) {
        built ??= { error };
      }
    };
    const reading = this.#transact(["deltas", "documents"], "strict", (transaction) => {
      const deltas = transaction.objectStore("deltas");
      const rows: IDBRequest<DeltaRow[]> = deltas.index("name").getAll(name);
      const keys = deltas.index("name").getAllKeys(name);
      const onServer: IDBRequest<Float64Array | undefined> = transaction.objectStore("documents").get(name);
      onServer.onsuccess = () => {
        take(deltas, { deltas: rows.result.map((row) => row.delta), onServer: onServer.result }, keys.result);
      };
    });
    // Without room for the state beside the deltas they stay as they are, which is as good.
    await reading.catch((error: unknown) => {
      if (!built) throw error;
    });
    if (built && "error" in built) throw built.error;
  }

  /** Stores what happened to a document; when it is done, it is on the disk. */
  async write(name: string, { deltas, onServer, precious }: Write): Promise<void> {
    await this.#transact(["deltas", "documents"], precious ? "strict" : "relaxed", (transaction) => {
      const rows = transaction.objectStore("deltas");
      for (const delta of deltas) rows.add({ name, delta } satisfies DeltaRow);
      if (onServer) transaction.objectStore("documents").put(onServer, name);
    });
  }

  /** The ids under which this device has edited. */
  async replicas(): Promise<number[]> {
    const keys = await this.#transact(["replicas"], "relaxed", (transaction) =>
      transaction.objectStore("replicas").getAllKeys(),
    );
    return keys.result as number[];
  }

  async addReplica(replica: number): Promise<void> {
    await this.#transact(["replicas"], "strict", (transaction) =>
      transaction.objectStore("replicas").put(true, replica),
    );
  }

  /** After this, nobody edits as `replica` again once its present holder has gone. */
  async forgetReplica(replica: number): Promise<void> {
    await this.#transact(["replicas"], "strict", (transaction) =>
      transaction.objectStore("replicas").delete(replica),
    );
  }

  async close(): Promise<void> {
    const opening = this.#opening;
    this.#opening = undefined;
    (await opening?.catch(() => undefined))?.close();
  }

  /** Runs `work` in one transaction; its requests are done when this is. Reading transactions write nothing. */
  async #transact<T>(
    stores: string[],
    durability: IDBTransactionDurability,
    work: (transaction: IDBTransaction) => T,
  ): Promise<T> {
    const database = await this.#database();
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(stores, "readwrite", { durability });
      transaction.oncomplete = () => resolve(result);
      transaction.onabort = () => reject(transaction.error ?? new Error("the browser gave up storing"));
      let result: T;
      try {
        result = work(transaction);
      } catch (error) {
        // Else what came before the error would be stored alone.
        transaction.abort();
        reject(error);
      }
    });
  }

  #database(): Promise<IDBDatabase> {
    this.#opening ??= this.#connect().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  #connect(): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      const request = indexedDB.open(this.name, SCHEMA);
      request.onupgradeneeded = () => {
        const deltas = request.result.createObjectStore("deltas", { autoIncrement: true });
        deltas.createIndex("name", "name");
        request.result.createObjectStore("documents");
        request.result.createObjectStore("replicas");
      };
      request.onerror = () => reject(request.error ?? new Error("the database cannot be opened"));
      request.onsuccess = () => {
        const database = request.result;
        const lost = () => {
          this.#opening = undefined;
          this.onLost();
        };
        database.onclose = lost;
        // Another page deletes or upgrades the database; holding on would block it.
        database.onversionchange = () => {
          database.close();
          lost();
        };
        resolve(database);
      };
    });
  }
}
