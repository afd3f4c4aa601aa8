/**
 * The places on the map: a button each, so that a keyboard and a screen reader reach them.
 *
 * Buttons are good for some hundreds of places. A map with more shows the first `MARKERS_MAX` of those in view;
 * all of them are in the list.
 */

import { type Map, Marker } from "maplibre-gl";
import { count, h } from "./dom.js";
import { type Place, type Position, wrap } from "./places.js";

const MARKERS_MAX = 300;
/** How far an arrow key moves a place, in pixels; with Shift, further. */
const NUDGE_PIXELS = 8;
const NUDGE_FAR_PIXELS = 48;

export interface MarkerEvents {
  select(id: string): void;
  move(id: string, at: Position): void;
}

interface Pin {
  marker: Marker;
  element: HTMLButtonElement;
  dragging: boolean;
}

export class Markers {
  readonly #map: Map;
  readonly #events: MarkerEvents;
  readonly #pins = new globalThis.Map<string, Pin>();

  constructor(map: Map, events: MarkerEvents) {
    this.#map = map;
    this.#events = events;
  }

  /** Shows these places, of which one may be selected. */
  show(places: Place[], selected: string | undefined, isUnsent: (id: string) => boolean): void {
    const shown = places.length > MARKERS_MAX ? this.#inView(places) : places;
    const ids = new Set(shown.map((place) => place.id));
    for (const [id, pin] of this.#pins) {
      if (ids.has(id)) continue;
      pin.marker.remove();
      this.#pins.delete(id);
    }
    for (const place of shown) this.#render(place, place.id === selected, isUnsent(place.id));
  }

  focus(id: string): void {
    this.#pins.get(id)?.element.focus({ preventScroll: true });
  }

  #inView(places: Place[]): Place[] {
    const bounds = this.#map.getBounds();
    return places.filter((place) => bounds.contains(place.at)).slice(0, MARKERS_MAX);
  }

  #render(place: Place, selected: boolean, unsent: boolean): void {
    const pin = this.#pins.get(place.id) ?? this.#make(place);
    const { element, marker } = pin;
    const name = place.name || "Unnamed place";
    const label = `${name}, ${count(place.votes, "vote")}${unsent ? ", not yet on the server" : ""}`;
    element.setAttribute("aria-label", label);
    element.setAttribute("aria-pressed", String(selected));
    element.classList.toggle("selected", selected);
    element.classList.toggle("unsent", unsent);
    (element.querySelector(".votes") as HTMLElement).textContent = place.votes === 0 ? "" : String(place.votes);
    (element.querySelector(".label") as HTMLElement).textContent = place.name;
    if (!pin.dragging) marker.setLngLat(place.at);
  }

  #make(place: Place): Pin {
    const { id } = place;
    const element = h("button", { type: "button", class: "pin" }, h("span", { class: "head" }, h("span", { class: "votes" })), h("span", { class: "label" }));
    element.dataset["place"] = id;
    const marker = new Marker({ element, anchor: "bottom", draggable: true }).setLngLat(place.at).addTo(this.#map);
    const pin: Pin = { marker, element, dragging: false };
    marker.on("dragstart", () => {
      pin.dragging = true;
    });
    marker.on("dragend", () => {
      pin.dragging = false;
      const { lng, lat } = marker.getLngLat();
      this.#events.move(id, wrap([lng, lat]));
    });
    element.addEventListener("click", (event) => {
      event.stopPropagation();
      this.#events.select(id);
    });
    element.addEventListener("keydown", (event) => this.#nudge(id, marker, event));
    this.#pins.set(id, pin);
    return pin;
  }

  #nudge(id: string, marker: Marker, event: KeyboardEvent): void {
    const step = event.shiftKey ? NUDGE_FAR_PIXELS : NUDGE_PIXELS;
    const [x, y] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] ?? [];
    if (x === undefined || y === undefined) return;
    // The map would move itself.
    event.preventDefault();
    event.stopPropagation();
    const point = this.#map.project(marker.getLngLat());
    const { lng, lat } = this.#map.unproject([point.x + x, point.y + y]);
    const at = wrap([lng, lat]);
    // At once, not with the next frame: the next key may come before it.
    marker.setLngLat(at);
    this.#events.move(id, at);
  }
}
