/** Where the changes are, in plain words, and which places have changes that are not on the server. */

import type { Client, Connection, Doc, Status } from "watersmeet";
import { byId, count, write } from "./dom.js";
import { at } from "./home.js";
import { placeOf } from "./places.js";

/** Places with changes that the server is not known to have. Remembered, so that a reload offline still knows. */
export class Unsent {
  readonly #key: string;
  #ids: Set<string>;

  constructor(doc: Doc) {
    this.#key = `watersmeet-demo.unsent.${doc.name}`;
    this.#ids = this.#load();
    doc.subscribe(({ changes, local }) => {
      // Others' changes come from the server, or, when there is no connection, from another tab of this browser.
      if (!local && doc.status.live) return;
      for (const change of changes) this.#note(placeOf(change.path));
    });
    doc.onStatus((status) => {
      if (status.onServer && this.#ids.size > 0) this.#forget();
    });
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  get size(): number {
    return this.#ids.size;
  }

  #note(id: string | undefined): void {
    if (id === undefined || this.#ids.has(id)) return;
    this.#ids.add(id);
    this.#save();
  }

  #forget(): void {
    this.#ids = new Set();
    this.#save();
  }

  #load(): Set<string> {
    try {
      return new Set(JSON.parse(localStorage.getItem(this.#key) ?? "[]") as string[]);
    } catch {
      return new Set();
    }
  }

  #save(): void {
    try {
      localStorage.setItem(this.#key, JSON.stringify([...this.#ids]));
    } catch {
      // The marks are then lost by a reload; the changes are not.
    }
  }
}

/** Where the changes are, in a sentence, and how it is meant. */
export function words(status: Status, connection: Connection, unsent: number): { mood: string; text: string } {
  const { problem, onDevice, onServer } = status;
  if (problem) return { mood: "bad", text: problem };
  if (!onServer && !onDevice) return { mood: "busy", text: "Saving…" };
  if (connection === "online" && status.live) {
    return onServer ? { mood: "good", text: "All changes saved on the server" } : { mood: "busy", text: "Saving on the server…" };
  }
  const what = unsent > 0 ? `changes to ${count(unsent, "place")}` : "changes";
  const kept = onServer ? "everything here is also on the server" : `${what} saved on this device, not yet on the server`;
  return { mood: onServer ? "calm" : "waiting", text: `${connection === "offline" ? "Offline" : "Connecting"}: ${kept}` };
}

/** Shows the sentence, and the switch for working offline; the choice outlasts a reload of the tab. */
export function showStatus(client: Client, doc: Doc, unsent: Unsent): void {
  const line = byId("status");
  const render = () => {
    const { mood, text } = words(doc.status, client.connection, unsent.size);
    line.dataset["mood"] = mood;
    write(line, client.problem && mood !== "bad" ? `${text}. ${client.problem}` : text);
  };
  client.subscribe(render);
  doc.onStatus(render);
  doc.subscribe(render);

  const offline = byId<HTMLInputElement>("offline");
  offline.checked = sessionStorage.getItem("watersmeet-demo.offline") === "yes";
  const obey = () => {
    sessionStorage.setItem("watersmeet-demo.offline", offline.checked ? "yes" : "no");
    if (offline.checked) client.disconnect();
    else client.connect(at("sync"));
  };
  offline.addEventListener("change", obey);
  obey();
}
