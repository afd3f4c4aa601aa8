import { Listeners, type Unsubscribe } from "./listeners.js";

/** At most one state in this time is sent, the latest. */
const INTERVAL_MILLIS = 50;
/** What a server passes on. */
const BYTES_MAX = 1_024;

/**
 * Who else has the document open, and what they show: cursors, names, selections. It is passed on at once and never
 * kept. Peers are numbered; a peer that leaves disappears.
 */
export class Presence<T = unknown> {
  readonly #send: (state: Uint8Array) => void;
  readonly #listeners = new Listeners<ReadonlyMap<number, T>>();
  #others: ReadonlyMap<number, T> = new Map();
  #next: Uint8Array | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @internal */
  constructor(send: (state: Uint8Array) => void) {
    this.#send = send;
  }

  /** The others' states, by peer. */
  get others(): ReadonlyMap<number, T> {
    return this.#others;
  }

  /**
   * Shows a state to the others, or none. It is sent as JSON of at most 1,024 bytes; called more often than 20 times
   * a second, the latest is sent.
   */
  set(state: T | null): void {
    const bytes = state === null ? new Uint8Array() : new TextEncoder().encode(JSON.stringify(state));
    if (bytes.length > BYTES_MAX) {
      throw new RangeError(`a presence of ${bytes.length} bytes is larger than ${BYTES_MAX}`);
    }
    this.#next = bytes;
    this.#timer ??= this.#flush();
  }

  /** Tells of the others from now on, at first at once. */
  subscribe(listener: (others: ReadonlyMap<number, T>) => void): Unsubscribe {
    const unsubscribe = this.#listeners.add(listener);
    listener(this.#others);
    return unsubscribe;
  }

  /** Sends what is to be sent; answers with a timer that runs until the next may be sent. */
  #flush(): ReturnType<typeof setTimeout> | undefined {
    if (!this.#next) return undefined;
    this.#send(this.#next);
    this.#next = undefined;
    return setTimeout(() => {
      this.#timer = this.#flush();
    }, INTERVAL_MILLIS);
  }

  /** @internal */
  hear(peer: number, state: Uint8Array): void {
    const others = new Map(this.#others);
    others.delete(peer);
    const shown = state.length > 0 ? parse(state) : undefined;
    if (shown !== undefined) others.set(peer, shown as T);
    this.#tell(others);
  }

  /** @internal Nobody is heard any more. */
  forget(): void {
    if (this.#others.size > 0) this.#tell(new Map());
  }

  #tell(others: ReadonlyMap<number, T>): void {
    this.#others = others;
    this.#listeners.tell(others);
  }
}

/** Another program's state may be anything; what is not JSON is nothing. */
function parse(state: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(state));
  } catch {
    return undefined;
  }
}
