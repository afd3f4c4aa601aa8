import type { Op, Value } from "../wasm/watersmeet_wasm.js";

/** The keys from a document's root down to a value. */
export type Path = readonly string[];

/**
 * Collects the operations of one edit. They are applied together when the function given to `Doc.edit` returns, and
 * travel together. Paths need no preparation: maps come into being with what is in them.
 */
export class Transaction {
  #ops: Op[] | undefined = [];

  /** Writes the register at `path`. Of concurrent writes one wins, and the others are kept as its conflicts. */
  set(path: Path, value: Value): this {
    return this.#push({ op: "set", path, value });
  }

  /** Adds to the counter at `path`; concurrent additions all count. */
  increment(path: Path, by: number | bigint = 1): this {
    return this.#push({ op: "increment", path, value: by });
  }

  /** Adds an item to the set at `path`. It survives a removal that did not know of it. */
  add(path: Path, item: Value): this {
    return this.#push({ op: "add", path, value: item });
  }

  /** Removes an item from the set at `path`, as far as it is known here. */
  remove(path: Path, item: Value): this {
    return this.#push({ op: "remove", path, value: item });
  }

  /** Adds an item to the remove-wins set at `path`. A removal made at the same time wins. */
  include(path: Path, item: Value): this {
    return this.#push({ op: "include", path, value: item });
  }

  /** Removes an item from the remove-wins set at `path`, also for those who add it meanwhile. */
  exclude(path: Path, item: Value): this {
    return this.#push({ op: "exclude", path, value: item });
  }

  /** Raises or lowers the flag at `path`, which is down until somebody raises it. Raising wins. */
  flag(path: Path, up: boolean): this {
    return this.#push({ op: "flag", path, value: up });
  }

  /** Raises or lowers the guard at `path`, which is up until somebody lowers it. Lowering wins. */
  guard(path: Path, up: boolean): this {
    return this.#push({ op: "guard", path, value: up });
  }

  /**
   * In the list at `path`, from `index` on, removes so many elements and inserts others there. Indexes count on what
   * this transaction has done before.
   */
  splice(path: Path, index: number, remove: number, values: readonly Value[] = []): this {
    return this.#push({ op: "splice", path, index, remove, values });
  }

  /** Writes the element at `index` of the list at `path`. Of concurrent writes one wins, as in a register. */
  replace(path: Path, index: number, value: Value): this {
    return this.#push({ op: "replace", path, index, value });
  }

  /** Removes everything at and below `path` that is known here. What others write there meanwhile survives. */
  delete(path: Path): this {
    return this.#push({ op: "delete", path });
  }

  /** @internal */
  finish(): Op[] {
    const ops = this.#ops ?? [];
    this.#ops = undefined;
    return ops;
  }

  #push(op: Op): this {
    if (!this.#ops) throw new Error("this edit is over; a transaction is not to be kept, nor used after an await");
    this.#ops.push(op);
    return this;
  }
}
