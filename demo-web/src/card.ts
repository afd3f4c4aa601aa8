/** One place: its name, tags and votes, what others made of them meanwhile, and its end. */

import { count, h, write } from "./dom.js";
import type { Place, Places, Position } from "./places.js";
import { type Row, Rows } from "./rows.js";

/** A name is saved when typing pauses for so long. */
const TYPING_MILLIS = 600;

export interface CardEvents {
  close(): void;
  delete(id: string): void;
  fly(at: Position): void;
}

/** What others made of the place meanwhile, and what can be done about it. */
interface Notice {
  /** Says all of it, so that a notice that says something else is another one. */
  key: string;
  says: (Node | string)[];
  choices: [label: string, choose: () => void][];
}

export class Card {
  readonly element: HTMLElement;
  readonly id: string;
  readonly #places: Places;
  readonly #events: CardEvents;
  readonly #name = h("input", { class: "name", maxlength: "200", placeholder: "Name this place", "aria-label": "Name", autocomplete: "off" });
  readonly #where = h("p", { class: "where" });
  readonly #noticeBox = h("div", { class: "notices" });
  readonly #notices: Rows<Notice>;
  readonly #votes = h("output", { class: "votes" });
  readonly #tagList = h("ul", { class: "tags" });
  readonly #tags: Rows<string>;
  readonly #tag = h("input", { maxlength: "60", placeholder: "Add a tag", "aria-label": "Add a tag", autocomplete: "off", enterkeyhint: "done" });
  readonly #unsent = h("p", { class: "mark-unsent" }, "Not yet on the server");
  #typing: ReturnType<typeof setTimeout> | undefined;
  /** Whether the name was typed in since it was last saved. Otherwise it may be older than the one that others gave. */
  #typed = false;

  constructor(id: string, places: Places, events: CardEvents) {
    this.id = id;
    this.#places = places;
    this.#events = events;
    this.element = this.#build();
    this.#notices = new Rows(this.#noticeBox, { key: ({ key }) => key, make: noticeRow, refuge: this.element });
    this.#tags = new Rows(this.#tagList, { key: (tag) => tag, make: (tag) => this.#makeTag(tag), refuge: this.#tag });
    this.#name.addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typed = true;
      this.#typing = setTimeout(() => this.flush(), TYPING_MILLIS);
    });
    this.#name.addEventListener("change", () => this.flush());
    this.#name.addEventListener("blur", () => this.#catchUp());
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
      this.#name, this.#where, this.#noticeBox,
      h("div", { class: "vote", role: "group", "aria-label": "Votes" },
        h("button", { type: "button", class: "less", "aria-label": "Take a vote away", click: vote(-1) }, "−"),
        this.#votes,
        h("button", { type: "button", class: "more", "aria-label": "Vote for it", click: vote(1) }, "+"),
      ),
      h("h3", {}, "Tags"), this.#tagList, tagForm,
      h("p", { class: "hint" }, "Drag it, or move it with the arrow keys while it is focused on the map."),
      h("button", { type: "button", class: "delete", click: () => this.#events.delete(this.id) }, "Delete this place"),
    );
  }

  show(place: Place, unsent: boolean): void {
    if (document.activeElement !== this.#name) this.#name.value = place.name;
    write(this.#where, coordinates(place.at));
    this.#unsent.hidden = !unsent;
    write(this.#votes, count(place.votes, "vote"));
    this.#notices.show([...this.#names(place), ...this.#positions(place), ...this.#survival(place)]);
    this.#tags.show(place.tags);
  }

  focusName(): void {
    this.#name.focus();
    this.#name.select();
  }

  /** Saves a name that is being typed. */
  flush(): void {
    clearTimeout(this.#typing);
    if (!this.#typed) return;
    this.#typed = false;
    const place = this.#places.get(this.id);
    const name = this.#name.value.trim();
    if (place && name !== place.name) this.#places.rename(this.id, name);
  }

  /** Shows what others named it while the field was not to be touched. */
  #catchUp(): void {
    this.flush();
    const place = this.#places.get(this.id);
    if (place) this.#name.value = place.name;
  }

  remove(): void {
    this.flush();
    removeEventListener("pagehide", this.#onLeave);
    this.element.remove();
  }

  /** Two people named it at once: one name shows, and the other is not lost. */
  #names(place: Place): Notice[] {
    const name = (other: string) => other || "nothing";
    const use = (chosen: string) => () => {
      this.#name.value = chosen;
      this.#places.rename(this.id, chosen);
    };
    return place.otherNames.map((other) => ({
      key: JSON.stringify(["name", other, place.name]),
      says: ["Also called ", h("strong", {}, name(other)), ", at the same time."],
      choices: [[`Use “${name(other)}”`, use(other)], [`Keep “${name(place.name)}”`, use(place.name)]],
    }));
  }

  #positions(place: Place): Notice[] {
    const choose = (at: Position) => () => this.#places.move(this.id, at);
    return place.otherPositions.map((at) => ({
      key: JSON.stringify(["position", at, place.at]),
      says: ["Also moved to ", h("strong", {}, coordinates(at)), ", at the same time."],
      choices: [["Look there", () => this.#events.fly(at)], ["Move it there", choose(at)], ["Leave it here", choose(place.at)]],
    }));
  }

  /** It was deleted and edited at once, so it is still here. */
  #survival(place: Place): Notice[] {
    if (!place.deleted) return [];
    return [{
      key: JSON.stringify(["survival", place.deleted.by, place.editors]),
      says: [h("strong", {}, place.deleted.by), ` deleted this while ${place.editors.join(" and ")} edited it, so it was kept.`],
      choices: [["Keep it", () => this.#places.keep(this.id)], ["Delete it after all", () => this.#events.delete(this.id)]],
    }];
  }

  #makeTag(tag: string): Row<string> {
    const item = h("li", { class: "tag" }, tag, h("button", { type: "button", "aria-label": `Remove tag ${tag}`, click: () => this.#places.untag(this.id, tag) }, "×"));
    item.dataset["tag"] = tag;
    return { element: item };
  }

  #addTag(event: SubmitEvent): void {
    event.preventDefault();
    const tag = this.#tag.value.trim().replace(/^#+/, "");
    if (tag) this.#places.tag(this.id, tag);
    this.#tag.value = "";
  }
}

function noticeRow({ says, choices }: Notice): Row<Notice> {
  const buttons = choices.map(([label, choose]) => h("button", { type: "button", click: choose }, label));
  return { element: h("div", { class: "notice" }, h("p", {}, ...says), h("div", { class: "row" }, ...buttons)) };
}

function coordinates([longitude, latitude]: Position): string {
  const one = (degrees: number, [positive, negative]: [string, string]) => `${Math.abs(degrees).toFixed(4)}° ${degrees < 0 ? negative : positive}`;
  return `${one(latitude, ["N", "S"])}, ${one(longitude, ["E", "W"])}`;
}
