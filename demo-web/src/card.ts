/** One place: its name, tags and votes, what others made of them meanwhile, and its end. */

import { count, h } from "./dom.js";
import type { Place, Places, Position } from "./places.js";

/** A name is saved when typing pauses for so long. */
const TYPING_MILLIS = 600;

export interface CardEvents {
  close(): void;
  delete(id: string): void;
  fly(at: Position): void;
}

export class Card {
  readonly element: HTMLElement;
  readonly id: string;
  readonly #places: Places;
  readonly #events: CardEvents;
  readonly #name = h("input", { class: "name", maxlength: "200", placeholder: "Name this place", "aria-label": "Name", autocomplete: "off" });
  readonly #where = h("p", { class: "where" });
  readonly #notices = h("div", { class: "notices" });
  readonly #votes = h("output", { class: "votes" });
  readonly #tags = h("ul", { class: "tags" });
  readonly #tag = h("input", { maxlength: "60", placeholder: "Add a tag", "aria-label": "Add a tag", autocomplete: "off", enterkeyhint: "done" });
  readonly #unsent = h("p", { class: "mark-unsent" }, "Not yet on the server");
  #typing: ReturnType<typeof setTimeout> | undefined;

  constructor(id: string, places: Places, events: CardEvents) {
    this.id = id;
    this.#places = places;
    this.#events = events;
    this.element = this.#build();
    this.#name.addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.flush(), TYPING_MILLIS);
    });
    this.#name.addEventListener("change", () => this.flush());
    addEventListener("pagehide", this.#onLeave);
  }

  readonly #onLeave = () => this.flush();

  #build(): HTMLElement {
    const vote = (by: number) => () => this.#places.vote(this.id, by);
    const tagForm = h("form", { class: "add-tag", submit: (event: SubmitEvent) => this.#addTag(event) }, this.#tag, h("button", { type: "submit" }, "Add"));
    return h("section", { class: "card", "aria-label": "Place", tabindex: "-1" },
      h("div", { class: "bar" },
        h("button", { type: "button", class: "back", click: () => this.#events.close() }, "← All places"),
        this.#unsent,
      ),
      this.#name, this.#where, this.#notices,
      h("div", { class: "vote", role: "group", "aria-label": "Votes" },
        h("button", { type: "button", class: "less", "aria-label": "Take a vote away", click: vote(-1) }, "−"),
        this.#votes,
        h("button", { type: "button", class: "more", "aria-label": "Vote for it", click: vote(1) }, "+"),
      ),
      h("h3", {}, "Tags"), this.#tags, tagForm,
      h("p", { class: "hint" }, "Drag it, or move it with the arrow keys while it is focused on the map."),
      h("button", { type: "button", class: "delete", click: () => this.#events.delete(this.id) }, "Delete this place"),
    );
  }

  show(place: Place, unsent: boolean): void {
    if (document.activeElement !== this.#name) this.#name.value = place.name;
    this.#where.textContent = coordinates(place.at);
    this.#unsent.hidden = !unsent;
    this.#votes.textContent = count(place.votes, "vote");
    this.#notices.replaceChildren(...this.#names(place), ...this.#positions(place), ...this.#survival(place));
    this.#showTags(place.tags);
  }

  focusName(): void {
    this.#name.focus();
    this.#name.select();
  }

  /** Saves a name that is being typed. */
  flush(): void {
    clearTimeout(this.#typing);
    const place = this.#places.get(this.id);
    const name = this.#name.value.trim();
    if (place && name !== place.name) this.#places.rename(this.id, name);
  }

  remove(): void {
    this.flush();
    removeEventListener("pagehide", this.#onLeave);
    this.element.remove();
  }

  /** Two people named it at once: one name shows, and the other is not lost. */
  #names(place: Place): Node[] {
    const name = (other: string) => other || "nothing";
    const use = (chosen: string) => () => {
      this.#name.value = chosen;
      this.#places.rename(this.id, chosen);
    };
    return place.otherNames.map((other) =>
      h("div", { class: "notice" },
        h("p", {}, "Also called ", h("strong", {}, name(other)), ", at the same time."),
        h("div", { class: "row" },
          h("button", { type: "button", click: use(other) }, `Use “${name(other)}”`),
          h("button", { type: "button", click: use(place.name) }, `Keep “${name(place.name)}”`),
        ),
      ),
    );
  }

  #positions(place: Place): Node[] {
    const choose = (at: Position) => () => this.#places.move(this.id, at);
    return place.otherPositions.map((at) =>
      h("div", { class: "notice" },
        h("p", {}, "Also moved to ", h("strong", {}, coordinates(at)), ", at the same time."),
        h("div", { class: "row" },
          h("button", { type: "button", click: () => this.#events.fly(at) }, "Look there"),
          h("button", { type: "button", click: choose(at) }, "Move it there"),
          h("button", { type: "button", click: choose(place.at) }, "Leave it here"),
        ),
      ),
    );
  }

  /** It was deleted and edited at once, so it is still here. */
  #survival(place: Place): Node[] {
    if (!place.deleted) return [];
    return [
      h("div", { class: "notice" },
        h("p", {}, h("strong", {}, place.deleted.by), ` deleted this while ${place.editors.join(" and ")} edited it, so it was kept.`),
        h("div", { class: "row" },
          h("button", { type: "button", click: () => this.#places.keep(this.id) }, "Keep it"),
          h("button", { type: "button", click: () => this.#events.delete(this.id) }, "Delete it after all"),
        ),
      ),
    ];
  }

  #showTags(tags: string[]): void {
    const shown = [...this.#tags.children].map((child) => (child as HTMLElement).dataset["tag"]);
    // Left alone when nothing changed, so that a focused button stays.
    if (shown.length === tags.length && tags.every((tag, index) => tag === shown[index])) return;
    const hadFocus = this.#tags.contains(document.activeElement);
    this.#tags.replaceChildren(...tags.map((tag) => {
      const item = h("li", { class: "tag" }, tag, h("button", { type: "button", "aria-label": `Remove tag ${tag}`, click: () => this.#places.untag(this.id, tag) }, "×"));
      item.dataset["tag"] = tag;
      return item;
    }));
    if (hadFocus) this.#tag.focus();
  }

  #addTag(event: SubmitEvent): void {
    event.preventDefault();
    const tag = this.#tag.value.trim().replace(/^#+/, "");
    if (tag) this.#places.tag(this.id, tag);
    this.#tag.value = "";
  }
}

function coordinates([longitude, latitude]: Position): string {
  const one = (degrees: number, [positive, negative]: [string, string]) => `${Math.abs(degrees).toFixed(4)}° ${degrees < 0 ? negative : positive}`;
  return `${one(latitude, ["N", "S"])}, ${one(longitude, ["E", "W"])}`;
}
