/**
 * Rows that stay while what they show changes.
 *
 * A map is drawn anew whenever anybody edits it, also while somebody goes through a list with the keyboard, or has
 * pressed a button and not yet let go. So a thing keeps its element for as long as it is shown: what has the focus is
 * neither made anew nor moved, and of the others only those move that have to.
 */

/** What shows one thing. */
export interface Row<T> {
  readonly element: HTMLElement;
  /** Shows what has become of the thing; without it, the thing's key says all that the row shows. */
  show?(thing: T): void;
}

export interface RowsOptions<T> {
  /** What a thing is known by while it changes. */
  key(thing: T): string;
  make(thing: T): Row<T>;
  /** What takes the focus from a row that goes away, which would otherwise leave it nowhere. */
  refuge: HTMLElement;
}

export class Rows<T> {
  readonly #element: HTMLElement;
  readonly #options: RowsOptions<T>;
  #rows: ReadonlyMap<string, Row<T>> = new Map();

  constructor(element: HTMLElement, options: RowsOptions<T>) {
    this.#element = element;
    this.#options = options;
  }

  /** Shows these things, in this order. */
  show(things: readonly T[]): void {
    const { key, make, refuge } = this.#options;
    const rows = new Map<string, Row<T>>();
    for (const thing of things) {
      const row = this.#rows.get(key(thing)) ?? make(thing);
      row.show?.(thing);
      rows.set(key(thing), row);
    }
    this.#rows = rows;
    const children = [...rows.values()].map((row) => row.element);
    const held = [...this.#element.children].find((child) => child.contains(document.activeElement));
    if (held && !children.includes(held as HTMLElement)) refuge.focus();
    arrange(this.#element, children, held);
  }
}

/** Makes these an element's children, in this order; the others go around the one that is held. */
function arrange(parent: HTMLElement, children: readonly HTMLElement[], held: Element | undefined): void {
  const wanted = new Set<Element>(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let next = parent.firstElementChild;
  for (const child of children) {
    // Those that now come after it wait at the end.
    while (child === held && next && next !== held) {
      const passed = next;
      next = next.nextElementSibling;
      parent.append(passed);
    }
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
}
