/** The app: which place is selected, what is being placed, and who hears of which change. */

import type { Map } from "maplibre-gl";
import type { Doc, DocEvent } from "watersmeet";
import { Card } from "./card.js";
import { byId, count, isTyping } from "./dom.js";
import { List } from "./list.js";
import { Markers } from "./markers.js";
import { type Place, type Places, type Position, placeOf, wrap } from "./places.js";
import type { Unsent } from "./status.js";
import { toast } from "./toast.js";

export class App {
  readonly #map: Map;
  readonly #places: Places;
  readonly #unsent: Unsent;
  readonly #markers: Markers;
  readonly #list: List;
  #card: Card | undefined;
  #placing = false;
  #drawing = false;

  constructor(map: Map, doc: Doc, places: Places, unsent: Unsent) {
    this.#map = map;
    this.#places = places;
    this.#unsent = unsent;
    this.#markers = new Markers(map, { select: (id) => this.select(id), move: (id, at) => places.move(id, at) });
    this.#list = new List({
      select: (id) => this.select(id, { fly: true, focus: true }),
      restore: (id) => this.#restore(id),
      remove: (ids) => this.#remove(ids),
    });
    byId("views").append(this.#list.element);
    doc.subscribe((event) => this.#onChange(event));
    doc.onStatus(() => this.#draw());
    map.on("moveend", () => this.#draw());
    this.#listen();
  }

  #listen(): void {
    byId("add").addEventListener("click", () => this.#setPlacing(!this.#placing));
    this.#map.on("click", ({ lngLat }) => {
      if (this.#placing) this.#add(wrap([lngLat.lng, lngLat.lat]));
      else this.#close();
    });
    byId("handle").addEventListener("click", () => this.#fold(!byId("sheet").classList.contains("folded")));
    addEventListener("keydown", (event) => this.#onKey(event));
  }

  #onKey(event: KeyboardEvent): void {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
      if (this.#placing) this.#setPlacing(false);
      else this.#close();
    }
    if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && this.#placing && event.target !== byId("add")) {
      event.preventDefault();
      const { lng, lat } = this.#map.unproject(this.#middle());
      this.#add(wrap([lng, lat]));
    } else if (event.key === "n" || event.key === "N") {
      event.preventDefault();
      this.#setPlacing(true);
      // So that the arrows move the map under the crosshair.
      this.#map.getCanvas().focus();
    } else if (event.key === "/") {
      event.preventDefault();
      this.#close();
      this.#fold(false);
      this.#list.focusSearch();
    }
  }

  /** While placing, a tap or Enter says where. */
  #setPlacing(placing: boolean): void {
    this.#placing = placing;
    document.body.classList.toggle("placing", placing);
    const withKeys = matchMedia("(hover: hover)").matches ? " Enter takes the centre, Esc cancels." : "";
    byId("placing").textContent = placing ? `Tap the map where the place is.${withKeys}` : "";
    byId("add").setAttribute("aria-pressed", String(placing));
    const [x, y] = this.#middle();
    Object.assign(byId("crosshair").style, { left: `${x}px`, top: `${y}px` });
  }

  /** The middle of what is to be seen of the map, beside or above the sheet. */
  #middle(): [x: number, y: number] {
    const { clientWidth: width, clientHeight: height } = this.#map.getContainer();
    const sheet = byId("sheet").getBoundingClientRect();
    const below = sheet.width > width / 2;
    return below ? [width / 2, sheet.top / 2] : [(sheet.right + width) / 2, height / 2];
  }

  /** Moves the map so that a place is seen, if it is not. */
  #reveal(at: Position, fly: boolean): void {
    const { clientWidth: width, clientHeight: height } = this.#map.getContainer();
    const [x, y] = this.#middle();
    const point = this.#map.project(at);
    const seen = Math.abs(point.x - x) < width - x - 20 && Math.abs(point.y - y) < Math.min(y, height - y) - 20;
    if (seen && !fly) return;
    const zoom = fly ? Math.max(this.#map.getZoom(), 5) : this.#map.getZoom();
    this.#map.easeTo({ center: at, zoom, offset: [x - width / 2, y - height / 2] });
  }

  #add(at: Position): void {
    this.#setPlacing(false);
    this.select(this.#places.add(at, "New place"));
    this.#card?.focusName();
  }

  /** Shows a place's card. */
  select(id: string, { fly = false, focus = false } = {}): void {
    this.#setPlacing(false);
    if (this.#card?.id !== id) {
      this.#card?.remove();
      this.#card = new Card(id, this.#places, {
        close: () => this.#close(),
        delete: (place) => this.#delete(place),
        fly: (at) => this.#reveal(at, true),
      });
      byId("views").append(this.#card.element);
    }
    this.#list.element.hidden = true;
    this.#fold(false);
    this.#drawNow();
    const at = this.#places.get(id)?.at;
    if (at) this.#reveal(at, fly);
    if (focus) this.#card.element.focus({ preventScroll: true });
  }

  #close(): void {
    const id = this.#card?.id;
    if (id === undefined) return;
    this.#card?.remove();
    this.#card = undefined;
    this.#list.element.hidden = false;
    this.#drawNow();
    this.#list.focusItem(id);
  }

  #delete(id: string): void {
    const name = this.#places.get(id)?.name || "The place";
    this.#places.delete(id);
    this.#close();
    toast(`${name} is in the bin.`, { label: "Undo", do: () => this.#restore(id) });
  }

  #restore(id: string): void {
    if (!this.#places.get(id)) return toast("It was removed for good.");
    this.#places.keep(id);
    this.select(id, { fly: true, focus: true });
  }

  #remove(ids: string[]): void {
    const removed = this.#places.remove(ids);
    this.#drawNow();
    this.#list.focusSearch();
    toast(`${count(removed, "place")} removed for good.`);
  }

  #onChange({ changes, local }: DocEvent): void {
    if (!local) {
      const met = new Set(changes.map(({ path }) => placeOf(path)));
      for (const id of met) if (id !== undefined) this.#tellOfSurvival(id, changes.some(({ path }) => path[1] === id && (path[2] === "alive" || path[2] === "deleted")));
    }
    this.#draw();
  }

  /** An edit and a deletion met, and the edit won: both sides should know. */
  #tellOfSurvival(id: string, aliveChanged: boolean): void {
    const place = aliveChanged ? this.#places.get(id) : undefined;
    if (!place?.alive || !place.deleted) return;
    const { editors, deleted, name } = place;
    toast(`${editors.join(" and ")} edited “${name}” while ${deleted.by} deleted it, so it was kept.`, { label: "Show", do: () => this.select(id, { fly: true, focus: true }) });
  }

  /** On a phone the sheet is folded away to show the map. */
  #fold(folded: boolean): void {
    byId("sheet").classList.toggle("folded", folded);
    byId("handle").setAttribute("aria-expanded", String(!folded));
  }

  /** Draws once for all that changes before the next frame. */
  #draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => this.#drawNow());
  }

  #drawNow(): void {
    this.#drawing = false;
    const all = this.#places.ids().flatMap((id) => this.#places.get(id) ?? []);
    const alive = all.filter((place) => place.alive);
    const deleted = all.filter((place) => !place.alive).sort((a, b) => (b.deleted?.at ?? 0) - (a.deleted?.at ?? 0));
    const isUnsent = (id: string) => this.#unsent.has(id);
    this.#markers.show(alive, this.#card?.id, isUnsent);
    this.#list.show(alive, deleted, isUnsent);
    this.#drawCard(alive);
  }

  #drawCard(alive: Place[]): void {
    if (!this.#card) return;
    const { id } = this.#card;
    const place = alive.find((other) => other.id === id);
    if (place) return this.#card.show(place, this.#unsent.has(id));
    const gone = this.#places.get(id);
    this.#close();
    if (gone?.deleted) toast(`${gone.deleted.by} deleted “${gone.name}”.`, { label: "Restore", do: () => this.#restore(id) });
  }
}
