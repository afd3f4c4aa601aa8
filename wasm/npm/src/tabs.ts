/**
 * The tabs of one browser that share a database.
 *
 * Two tabs must never edit under one replica id at once: they would give two edits one name, and one of them would
 * be taken for the other. So each holds a lock on its id for as long as it lives. Ids are used again, since every
 * id ever used makes every version longer.
 */

import type { Store } from "./store.js";

/** A replica id, held until it is let go. */
export interface Lease {
  replica: number;
  release: () => void;
}

/** Takes an id of this device that no tab is using, or a fresh one. */
export async function leaseReplica(store: Store): Promise<Lease> {
  const locks = lockManager();
  if (!locks) return leaseFresh(store);
  for (const replica of await store.replicas()) {
    const release = await hold(locks, store, replica);
    if (!release) continue;
    // Whoever held it until now may have forgotten it since we asked, having sent edits that it could not store.
    if ((await store.replicas()).includes(replica)) return { replica, release };
    release();
  }
  return leaseFresh(store);
}

/** Takes an id that nobody has edited under yet. */
export async function leaseFresh(store: Store): Promise<Lease> {
  const locks = lockManager();
  const replica = freshReplica();
  if (!locks) return { replica, release: () => {} };
  const release = await hold(locks, store, replica);
  if (!release) throw new Error("a fresh replica id is in use");
  await store.addReplica(replica);
  return { replica, release };
}

/** Only secure contexts have locks. Elsewhere every tab edits under an id that is never used again. */
function lockManager(): LockManager | undefined {
  return globalThis.navigator?.locks;
}

function freshReplica(): number {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return (high % 2 ** 21) * 2 ** 32 + low;
}

/** Holds the lock of an id; undefined if another tab holds it. */
function hold(locks: LockManager, store: Store, replica: number): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const name = `watersmeet ${store.name} replica ${replica}`;
    const held = locks.request(name, { ifAvailable: true }, (lock) => {
      if (!lock) return resolve(undefined);
      return new Promise<void>((release) => resolve(release));
    });
    held.catch(reject);
  });
}

interface Message {
  name: string;
  /** What was stored; without it, what was stored is not all there any more. */
  delta: Uint8Array | undefined;
}

/** Tells the other tabs what was stored, so that they need not wait for the server. */
export class Tabs {
  readonly #channel: BroadcastChannel | undefined;

  constructor(database: string, onDelta: (name: string, delta: Uint8Array | undefined) => void) {
    if (typeof BroadcastChannel === "undefined") return;
    this.#channel = new BroadcastChannel(`watersmeet ${database}`);
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => onDelta(data.name, data.delta);
  }

  /** To be called once the delta is stored: another tab may then build on it, and on what came before it. */
  tell(name: string, delta: Uint8Array): void {
    this.#channel?.postMessage({ name, delta } satisfies Message);
  }

  /** Asks the tabs that have the document open to store all that they have of it. */
  askForAll(name: string): void {
    this.#channel?.postMessage({ name, delta: undefined } satisfies Message);
  }

  close(): void {
    this.#channel?.close();
  }
}
