import { at } from "./home.js";

/** Lets the page itself be opened without a network: see public/sw.js. */
export function keepForOffline(): void {
  // Only secure contexts have service workers; elsewhere a reload needs the server.
  if (!("serviceWorker" in navigator)) return;
  navigator.serviceWorker.register(at("sw.js")).catch(() => undefined);
  void navigator.serviceWorker.ready.then(({ active }) => {
    const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
    active?.postMessage(loaded.filter((url) => url.startsWith(at("./"))));
  });
}
