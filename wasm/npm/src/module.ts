/** Loads the WASM module, once. */

import load, { RawClient } from "../wasm/watersmeet_wasm.js";

/** Where the WASM module comes from, if not from the file beside this package. */
export interface InitOptions {
  /**
   * Its bytes, a compiled module, a response, or a URL. In Node pass the bytes of `watersmeet/watersmeet.wasm`;
   * in a browser leave it out.
   */
  module?: BufferSource | WebAssembly.Module | Response | URL | string;
}

let loading: Promise<void> | undefined;
let ready = false;

/**
 * Loads the WASM module. Call it once before anything else; calling it again costs nothing.
 *
 * ```ts
 * await init();
 * ```
 */
export function init(options: InitOptions = {}): Promise<void> {
  loading ??= start(options).catch((cause: unknown) => {
    // So that it can be tried again, say with a network.
    loading = undefined;
    throw new Error("watersmeet: the WASM module cannot be loaded", { cause });
  });
  return loading;
}

async function start({ module }: InitOptions): Promise<void> {
  warnOfTwoInstances();
  // This form of a URL is what bundlers understand: they copy the file and put its new address here.
  await load({ module_or_path: module ?? new URL("../wasm/watersmeet_wasm_bg.wasm", import.meta.url) });
  ready = true;
}

/** The core's client. Throws unless {@link init} is done. */
export function createRawClient(replica: number | undefined, stores: boolean): RawClient {
  if (!ready) throw new Error("watersmeet: call `await init()` first");
  return new RawClient(replica, stores);
}

/** Two copies of a package on one page do not know each other's documents, which is hard to find out otherwise. */
function warnOfTwoInstances(): void {
  const mark = Symbol.for("watersmeet");
  const page = globalThis as { [mark]?: boolean };
  if (page[mark]) {
    console.warn("watersmeet is loaded twice on this page; let your bundler deduplicate it");
  }
  page[mark] = true;
}
