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
  /** Under which ids it must not be edited again. */
  retired: number[];
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

/** 2 added `quarantine` and `retired`. */
const SCHEMA = 2;
const STORES = ["deltas", "documents", "replicas", "quarantine", "retired"];

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
    await this.#visit(name, (stored, keys, transaction) => {
      const state = build(stored);
      return () => {
        if (!state || keys.length <= DELTAS_MAX) return;
        const deltas = transaction.objectStore("deltas");
        deltas.add({ name, delta: state } satisfies DeltaRow);
        for (const key of keys) deltas.delete(key);
      };
    });
  }

  /**
   * Reads a document of which not all can be read. `build` answers with whether it could take in each delta; those
   * that it could not are put aside, and never deleted. Edits made on this device may be among them, so no id that
   * was used here may edit the document again, or it would give other edits their names: all but `replica` retire.
   */
  async salvage(name: string, replica: number, build: (stored: Stored) => boolean[]): Promise<void> {
    await this.#visit(name, (stored, keys, transaction) => {
      const taken = build(stored);
      return () => {
        const bad = keys.map((key, index) => ({ key, delta: stored.deltas[index] })).filter((_, index) => !taken[index]);
        if (bad.length === 0) return;
        retireAll(transaction, name, stored.retired, replica);
        for (const { key, delta } of bad) {
          transaction.objectStore("quarantine").add({ name, delta });
          transaction.objectStore("deltas").delete(key);
        }
      };
    });
  }

  /** Has `take` look at all that is stored of a document; what it answers with may then change it. */
  async #visit(
    name: string,
    take: (stored: Stored, keys: IDBValidKey[], transaction: IDBTransaction) => () => void,
  ): Promise<void> {
    let taken: { error?: unknown } | undefined;
    const visiting = this.#transact(STORES, "strict", (transaction) => {
      const deltas = transaction.objectStore("deltas").index("name");
      const rows: IDBRequest<DeltaRow[]> = deltas.getAll(name);
      const keys = deltas.getAllKeys(name);
      const retired: IDBRequest<number[] | undefined> = transaction.objectStore("retired").get(name);
      const onServer: IDBRequest<Float64Array | undefined> = transaction.objectStore("documents").get(name);
      onServer.onsuccess = () => {
        const found = rows.result.map((row) => row.delta);
        try {
          const change = take({ deltas: found, onServer: onServer.result, retired: retired.result ?? [] }, keys.result, transaction);
          taken = {};
          change();
        } catch (error) {
          taken ??= { error };
        }
      };
    });
    // Without room for the change all stays as it was, which is as good.
    await visiting.catch((error: unknown) => {
      if (!taken) throw error;
    });
    if (taken && "error" in taken) throw taken.error;
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
      request.onupgradeneeded = ({ oldVersion }) => {
        request.result.createObjectStore("quarantine", { autoIncrement: true });
        request.result.createObjectStore("retired");
        if (oldVersion > 0) return;
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

function retireAll(transaction: IDBTransaction, name: string, retired: number[], but: number): void {
  const replicas = transaction.objectStore("replicas");
  const listed = replicas.getAllKeys() as IDBRequest<number[]>;
  listed.onsuccess = () => {
    const retiring = listed.result.filter((replica) => replica !== but);
    // Whoever holds one now may not have opened the document yet.
    transaction.objectStore("retired").put([...new Set([...retired, ...retiring])], name);
    // And nobody is to hold it again.
    for (const replica of retiring) replicas.delete(replica);
  };
}
