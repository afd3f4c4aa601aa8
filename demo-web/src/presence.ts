/** Who else is here: their cursors on the map, and their names. */

import { type Map, Marker } from "maplibre-gl";
import type { Doc } from "watersmeet";
import { byId, count, h } from "./dom.js";
import { type Person, avatar, me, onRename, rename } from "./me.js";
import { type Position, wrap } from "./places.js";

interface Shown extends Person {
  /** Where their pointer is on the map. */
  at: Position | null;
}

export class People {
  readonly #doc: Doc;
  readonly #map: Map;
  readonly #cursors = new globalThis.Map<number, Marker>();
  #at: Position | null = null;

  constructor(doc: Doc, map: Map) {
    this.#doc = doc;
    this.#map = map;
    map.on("mousemove", ({ lngLat }) => this.#show(wrap([lngLat.lng, lngLat.lat])));
    map.getCanvas().addEventListener("mouseleave", () => this.#show(null));
    onRename(() => this.#show(this.#at));
    this.#show(null);
    this.#dialog();
    doc.presence.subscribe((others) => this.#render(others));
  }

  #show(at: Position | null): void {
    this.#at = at;
    this.#doc.presence.set({ ...me, at } satisfies Shown);
  }

  #render(others: ReadonlyMap<number, unknown>): void {
    const people = [...others].flatMap(([peer, state]) => (isShown(state) ? [{ peer, ...state }] : []));
    const button = byId("people");
    const discs = people.slice(0, 3).map((person) => avatar(person, person.name));
    const said = people.length === 0 ? "Only you are here" : `You and ${count(people.length, "other")} are here`;
    button.setAttribute("aria-label", `${said}. Change your name`);
    button.title = [`${me.name} (you)`, ...people.map((person) => person.name)].join("\n");
    button.replaceChildren(...discs.reverse(), avatar(me, me.name), h("span", { class: "count" }, String(people.length + 1)));
    for (const [peer, cursor] of this.#cursors) {
      if (people.some((person) => person.peer === peer && person.at)) continue;
      cursor.remove();
      this.#cursors.delete(peer);
    }
    for (const { peer, ...person } of people) if (person.at) this.#move(peer, person, person.at);
  }

  #move(peer: number, person: Person, at: Position): void {
    let cursor = this.#cursors.get(peer);
    if (!cursor) {
      const element = h("div", { class: "cursor", "aria-hidden": "true" }, h("span", { class: "name" }));
      cursor = new Marker({ element, anchor: "top-left" }).setLngLat(at).addTo(this.#map);
      this.#cursors.set(peer, cursor);
    }
    const element = cursor.getElement();
    element.style.setProperty("--hue", String(person.hue));
    (element.firstElementChild as HTMLElement).textContent = person.name;
    cursor.setLngLat(at);
  }

  /** The button opens a dialog in which one's own name is changed. */
  #dialog(): void {
    const input = h("input", { name: "name", maxlength: "40", autocomplete: "nickname", "aria-label": "Your name" });
    const form = h("form", { method: "dialog" },
      h("h2", {}, "What are you called?"),
      h("p", {}, "The others on this map see your name beside your cursor and your edits. It is kept in this browser."),
      input,
      h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, "That’s me")),
    );
    const dialog = h("dialog", { "aria-label": "Your name" }, form);
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      rename(input.value);
      byId("people").setAttribute("aria-expanded", "false");
      this.#render(this.#doc.presence.others);
    });
    byId("people").addEventListener("click", () => {
      input.value = me.name;
      byId("people").setAttribute("aria-expanded", "true");
      dialog.showModal();
      input.select();
    });
  }
}

/** What another program shows may be anything. */
function isShown(state: unknown): state is Shown {
  const { name, hue, at } = (state ?? {}) as Partial<Shown>;
  const placed = at === null || (Array.isArray(at) && at.length === 2 && at.every(Number.isFinite));
  return typeof name === "string" && name.length <= 40 && typeof hue === "number" && placed;
}
