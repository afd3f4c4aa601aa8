/**
 * What stands at one path of a document, with its own verbs. Each verb is an edit of its own; what is to happen
 * together is done with the transaction of `Doc.edit`, which has the same verbs.
 */

import type { RawClient, Value } from "../wasm/watersmeet_wasm.js";
import type { Path, Transaction } from "./transaction.js";

/** What a handle needs of its document. @internal */
export interface HandleHost {
  readonly name: string;
  readonly raw: RawClient;
  edit(build: (tx: Transaction) => void): void;
}

/**
 * A list of values. Who inserts at one place at the same time finds each other's elements one after the other, and
 * different elements can be replaced at once; one element that several replace keeps the others as its conflicts.
 *
 * ```ts
 * const route = doc.list(["route"]);
 * route.insert(0, [13.4, 52.5], [13.5, 52.6]);
 * route.replace(1, [13.5, 52.7]);
 * ```
 */
export class List implements Iterable<Value> {
  /** Where it stands. */
  readonly path: Path;
  readonly #host: HandleHost;

  /** @internal */
  constructor(host: HandleHost, path: Path) {
    this.#host = host;
    this.path = path;
  }

  /** How many elements there are. */
  get length(): number {
    return this.#host.raw.listLength(this.#host.name, this.path);
  }

  /** The element at `index`; undefined if there is none. */
  get(index: number): Value | undefined {
    return this.#host.raw.element(this.#host.name, this.path, index);
  }

  /** What others wrote to the element at `index` at the same time as its value. */
  conflicts(index: number): Value[] {
    return this.#host.raw.elementConflicts(this.#host.name, this.path, index);
  }

  /** The elements, in order. */
  toArray(): Value[] {
    return this.#host.raw.list(this.#host.name, this.path);
  }

  [Symbol.iterator](): Iterator<Value> {
    return this.toArray()[Symbol.iterator]();
  }

  /** Inserts elements, the first of which is then at `index`. */
  insert(index: number, ...values: Value[]): void {
    this.splice(index, 0, values);
  }

  /** From `index` on removes so many elements, and inserts others there. */
  splice(index: number, remove: number, values: readonly Value[] = []): void {
    this.#host.edit((tx) => tx.splice(this.path, index, remove, values));
  }

  /** Writes the element at `index`, which stays the same element. */
  replace(index: number, value: Value): void {
    this.#host.edit((tx) => tx.replace(this.path, index, value));
  }

  /** Removes the element at `index`, or so many from there on. */
  remove(index: number, count = 1): void {
    this.splice(index, count);
  }
}

/** A set in which a removal wins over an addition made at the same time. */
export class RwSet implements Iterable<Value> {
  /** Where it stands. */
  readonly path: Path;
  readonly #host: HandleHost;

  /** @internal */
  constructor(host: HandleHost, path: Path) {
    this.#host = host;
    this.path = path;
  }

  /** The items, in a fixed order. */
  items(): Value[] {
    return this.#host.raw.rwItems(this.#host.name, this.path);
  }

  [Symbol.iterator](): Iterator<Value> {
    return this.items()[Symbol.iterator]();
  }

  /** Adds an item. */
  add(item: Value): void {
    this.#host.edit((tx) => tx.include(this.path, item));
  }

  /** Removes an item, also for those who add it meanwhile, and whether or not it is known here. */
  remove(item: Value): void {
    this.#host.edit((tx) => tx.exclude(this.path, item));
  }
}

/** What is up or down. Who raises and lowers it at the same time is settled by what it is: {@link Flag}, {@link Guard}. */
abstract class Raisable {
  /** Where it stands. */
  readonly path: Path;
  protected readonly host: HandleHost;

  /** @internal */
  constructor(host: HandleHost, path: Path) {
    this.host = host;
    this.path = path;
  }

  /** Whether it is up. */
  abstract get up(): boolean;

  /** Raises it, or lowers it. */
  abstract set(up: boolean): void;

  raise(): void {
    this.set(true);
  }

  lower(): void {
    this.set(false);
  }
}

/** A flag: down until somebody raises it. Raising wins over lowering at the same time. */
export class Flag extends Raisable {
  get up(): boolean {
    return this.host.raw.isRaised(this.host.name, this.path);
  }

  set(up: boolean): void {
    this.host.edit((tx) => tx.flag(this.path, up));
  }
}

/** A guard: up until somebody lowers it. Lowering wins over raising at the same time. */
export class Guard extends Raisable {
  get up(): boolean {
    return this.host.raw.isGuarded(this.host.name, this.path);
  }

  set(up: boolean): void {
    this.host.edit((tx) => tx.guard(this.path, up));
  }
}
