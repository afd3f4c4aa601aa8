/**
 * The places of a map, as they stand in the document, and what can be done with them.
 *
 * A place lives under `places/{id}`:
 *
 *   name     register   its name; concurrent names are kept, and offered in its card
 *   at       register   [longitude, latitude]
 *   tags     set        add-wins
 *   votes    counter
 *   alive    set        the names of those who want it to be there
 *   deleted  register   [who, when], of the last deletion
 *
 * **Deleting.** A place is there as long as its `alive` set is not empty. Deleting it removes from that set what is
 * known of it, and nothing else; every edit of the place adds to it. So an edit beats a deletion that did not know of
 * it, and the place comes back *whole*. (Were the place's key removed from the map instead, an edit that is concurrent
 * would bring back only the edited field.) Nothing is lost by deleting either: a deleted place can be restored, until the bin is emptied. That
 * an edit and a deletion met is not settled silently: `deleted` beside a non-empty `alive` says so, and the card asks.
 */

import type { Doc, Transaction, Value } from "watersmeet";

export type Position = [longitude: number, latitude: number];

export interface Place {
  id: string;
  name: string;
  /** Names that others gave it at the same time. */
  otherNames: string[];
  at: Position;
  /** Where others moved it at the same time. */
  otherPositions: Position[];
  tags: string[];
  votes: number;
  alive: boolean;
  /** Who edited it since it was last deleted or made. */
  editors: string[];
  /** Who deleted it, and when; on a place that is alive: somebody else edited it meanwhile. */
  deleted: { by: string; at: number } | undefined;
}

const ROOT = "places";

export class Places {
  readonly #doc: Doc;
  readonly #author: () => string;

  constructor(doc: Doc, author: () => string) {
    this.#doc = doc;
    this.#author = author;
  }

  ids(): string[] {
    return this.#doc.keys([ROOT]);
  }

  get(id: string): Place | undefined {
    const doc = this.#doc;
    const at = position(doc.get([ROOT, id, "at"]));
    // Where a place is to be shown is the least that it must have.
    if (!at) return undefined;
    const editors = texts(doc.items([ROOT, id, "alive"]));
    return {
      id,
      name: text(doc.get([ROOT, id, "name"])),
      otherNames: [...new Set(texts(doc.conflicts([ROOT, id, "name"])))],
      at,
      otherPositions: doc.conflicts([ROOT, id, "at"]).map(position).filter((other) => other !== undefined),
      tags: texts(doc.items([ROOT, id, "tags"])),
      votes: doc.count([ROOT, id, "votes"]),
      alive: editors.length > 0,
      editors,
      deleted: deletion(doc.get([ROOT, id, "deleted"])),
    };
  }

  add(at: Position, name: string): string {
    const id = randomId();
    this.#edit(id, (tx) => tx.set([ROOT, id, "at"], at).set([ROOT, id, "name"], name));
    return id;
  }

  rename(id: string, name: string): void {
    this.#edit(id, (tx) => tx.set([ROOT, id, "name"], name));
  }

  move(id: string, at: Position): void {
    this.#edit(id, (tx) => tx.set([ROOT, id, "at"], at));
  }

  tag(id: string, tag: string): void {
    this.#edit(id, (tx) => tx.add([ROOT, id, "tags"], tag));
  }

  untag(id: string, tag: string): void {
    this.#edit(id, (tx) => tx.remove([ROOT, id, "tags"], tag));
  }

  vote(id: string, by: number): void {
    this.#edit(id, (tx) => tx.increment([ROOT, id, "votes"], by));
  }

  /** Brings a deleted place back, or says of one that is alive that this is right. */
  keep(id: string): void {
    this.#edit(id, () => {});
  }

  delete(id: string): void {
    const editors = this.#doc.items([ROOT, id, "alive"]);
    this.#doc.edit((tx) => {
      for (const editor of editors) tx.remove([ROOT, id, "alive"], editor);
      tx.set([ROOT, id, "deleted"], [this.#author(), Date.now()]);
    });
  }

  /**
   * Removes those of these places that are still deleted, with their keys, so that nothing of them stays in the
   * document. Answers with how many. An edit that does not know of it brings back what it edited, and no more.
   */
  remove(ids: string[]): number {
    const gone = ids.filter((id) => this.get(id)?.alive === false);
    this.#doc.edit((tx) => {
      for (const id of gone) tx.delete([ROOT, id]);
    });
    return gone.length;
  }

  /** An edit of a place is also a vote for its being there. */
  #edit(id: string, build: (tx: Transaction) => void): void {
    const wasDeleted = this.#doc.get([ROOT, id, "deleted"]) !== undefined;
    this.#doc.edit((tx) => {
      build(tx);
      tx.add([ROOT, id, "alive"], this.#author());
      if (wasDeleted) tx.delete([ROOT, id, "deleted"]);
    });
  }
}

/** The place that a change is about, if it is about one. */
export function placeOf(path: readonly string[]): string | undefined {
  return path[0] === ROOT ? path[1] : undefined;
}

/** The longitude between -180 and 180, however often the world was gone around; to a tenth of a metre. */
export function wrap([longitude, latitude]: Position): Position {
  const round = (degrees: number) => Math.round(degrees * 1e6) / 1e6;
  return [round(((((longitude + 180) % 360) + 360) % 360) - 180), round(Math.max(-85, Math.min(85, latitude)))];
}

function text(value: Value | undefined): string {
  return typeof value === "string" ? value : "";
}

function texts(values: Value[]): string[] {
  return values.filter((value) => typeof value === "string");
}

function position(value: Value | undefined): Position | undefined {
  if (!Array.isArray(value)) return undefined;
  const [longitude, latitude] = value.map(Number);
  const valid = Number.isFinite(longitude) && Number.isFinite(latitude);
  return valid ? [longitude as number, latitude as number] : undefined;
}

function deletion(value: Value | undefined): { by: string; at: number } | undefined {
  return Array.isArray(value) ? { by: text(value[0]) || "Somebody", at: Number(value[1]) } : undefined;
}

/** Also where `crypto.randomUUID` is not to be had: on pages served without TLS. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  return Array.from(bytes, (byte) => (byte % 36).toString(36)).join("");
}
