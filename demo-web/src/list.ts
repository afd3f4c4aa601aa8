/** The list of places, with a search, and the bin under it. */

import { count, h, write } from "./dom.js";
import type { Place } from "./places.js";
import { type Row, Rows } from "./rows.js";

export interface ListEvents {
  select(id: string): void;
  restore(id: string): void;
  /** Removes these places, which are in the bin, for good. */
  remove(ids: string[]): void;
}

export class List {
  readonly element: HTMLElement;
  readonly #search = h("input", { id: "search", type: "search", placeholder: "Search places and tags", "aria-label": "Search places and tags" });
  readonly #places = h("ul", { class: "places" });
  readonly #items: Rows<Place>;
  readonly #empty = h("div", { class: "empty" });
  readonly #bin = h("ul", { class: "places" });
  readonly #binTitle = h("summary");
  readonly #binned: Rows<Place>;
  readonly #emptyBin = h("button", { type: "button", class: "delete", click: () => this.#ask() }, "Empty the bin");
  readonly #question = h("p");
  readonly #no = h("button", { type: "button", click: () => this.#answer(false) });
  readonly #yes = h("button", { type: "button", class: "delete", click: () => this.#answer(true) }, "Remove for good");
  readonly #sure = h("div", { class: "notice", role: "group", "aria-label": "Empty the bin?", hidden: true },
    this.#question, h("div", { class: "row" }, this.#no, this.#yes));
  readonly #binBox = h("details", { class: "bin" }, this.#binTitle, this.#bin, this.#emptyBin, this.#sure);
  /** What the question is about: what comes into the bin meanwhile is not removed unseen. */
  #asked: string[] = [];
  readonly #events: ListEvents;
  #shown: { alive: Place[]; deleted: Place[]; isUnsent: (id: string) => boolean } = { alive: [], deleted: [], isUnsent: () => false };

  constructor(events: ListEvents) {
    this.#events = events;
    this.element = h("section", { class: "list", "aria-label": "List of places", tabindex: "-1" }, this.#search, this.#empty, this.#places, this.#binBox);
    this.#items = new Rows(this.#places, { key: ({ id }) => id, make: ({ id }) => this.#makeItem(id), refuge: this.element });
    this.#binned = new Rows(this.#bin, { key: ({ id }) => id, make: ({ id }) => this.#makeBinned(id), refuge: this.#binTitle });
    this.#search.addEventListener("input", () => this.#render());
    this.#places.addEventListener("keydown", (event) => this.#step(event));
    this.#sure.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#answer(false);
    });
  }

  show(alive: Place[], deleted: Place[], isUnsent: (id: string) => boolean): void {
    this.#shown = { alive, deleted, isUnsent };
    this.#render();
  }

  focusSearch(): void {
    this.#search.focus();
  }

  focusItem(id: string): void {
    this.#places.querySelector<HTMLElement>(`[data-place="${CSS.escape(id)}"]`)?.focus();
  }

  #render(): void {
    const { alive, deleted } = this.#shown;
    const wanted = this.#search.value.trim().toLocaleLowerCase();
    const found = alive.filter((place) => [place.name, ...place.tags].some((text) => text.toLocaleLowerCase().includes(wanted)));
    found.sort((a, b) => b.votes - a.votes || a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));
    this.#items.show(found);
    this.#search.hidden = alive.length === 0;
    this.#empty.hidden = found.length > 0;
    this.#empty.replaceChildren(...(alive.length === 0 ? emptyMap() : [h("p", {}, `No place and no tag is like “${this.#search.value.trim()}”.`)]));
    write(this.#binTitle, `Bin (${deleted.length})`);
    this.#binned.show(deleted);
    if (deleted.length === 0 && this.#binBox.contains(document.activeElement)) this.element.focus();
    this.#binBox.hidden = deleted.length === 0;
  }

  #makeItem(id: string): Row<Place> {
    const [name, about] = [h("span", { class: "name" }), h("span", { class: "about" })];
    const unsent = h("span", { class: "unsent", title: "Not yet on the server" }, h("span", { class: "visually-hidden" }, ", not yet on the server"));
    const button = h("button", { type: "button", class: "item", click: () => this.#events.select(id) },
      h("span", { class: "dot", "aria-hidden": "true" }), name, about, unsent);
    button.dataset["place"] = id;
    const show = (place: Place) => {
      write(name, place.name || "Unnamed place");
      write(about, [place.votes === 0 ? "" : count(place.votes, "vote"), ...place.tags.map((tag) => `#${tag}`)].filter(Boolean).join(" · "));
      unsent.hidden = !this.#shown.isUnsent(id);
    };
    return { element: h("li", {}, button), show };
  }

  #makeBinned(id: string): Row<Place> {
    const [name, about] = [h("span", { class: "name" }), h("span", { class: "about" })];
    const restore = h("button", { type: "button", click: () => this.#events.restore(id) }, "Restore");
    const show = (place: Place) => {
      const called = place.name || "Unnamed place";
      write(name, called);
      write(about, place.deleted ? `deleted by ${place.deleted.by}` : "deleted");
      restore.setAttribute("aria-label", `Restore ${called}`);
    };
    return { element: h("li", { class: "binned" }, name, about, restore), show };
  }

  #ask(): void {
    const { deleted } = this.#shown;
    this.#asked = deleted.map((place) => place.id);
    const [places, them] = deleted.length === 1 ? ["The place", "it"] : [`The ${deleted.length} places`, "them"];
    this.#question.textContent = `${places} in the bin will be gone for everybody, and nobody can restore ${them}.`;
    this.#no.textContent = `Keep ${them}`;
    this.#sure.hidden = false;
    this.#emptyBin.hidden = true;
    this.#no.focus();
  }

  #answer(yes: boolean): void {
    this.#sure.hidden = true;
    this.#emptyBin.hidden = false;
    this.#emptyBin.focus();
    if (yes) this.#events.remove(this.#asked);
  }

  /** Up and down go through the list. */
  #step(event: KeyboardEvent): void {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    const items = [...this.#places.querySelectorAll<HTMLElement>(".item")];
    const next = items[items.indexOf(document.activeElement as HTMLElement) + by];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }
}

function emptyMap(): Node[] {
  return [
    h("h2", {}, "An empty map"),
    h("p", {}, "Add the first place, then open this page in a second window, or send its address to somebody: you both edit the same map. Go offline, edit on, come back: everything meets again."),
  ];
}
