// A copy of a document that is made of nothing but the changes it tells of.

/**
 * What a mirror can show of a document. That something was emptied and still stands, a counter at 0 or a set without
 * items, is nothing that reads otherwise, and so nothing that is told of.
 */
export function shown(json) {
  const entries = Object.entries(json).flatMap(([name, value]) => {
    if (value === 0 || (Array.isArray(value) && value.length === 0)) return [];
    if (typeof value !== "object" || Array.isArray(value)) return [[name, value]];
    const below = shown(value);
    return Object.keys(below).length > 0 ? [[name, below]] : [];
  });
  return Object.fromEntries(entries);
}

export class Mirror {
  #root = {};

  follow(changes) {
    for (const change of changes) this.#follow(change);
  }

  toJSON() {
    return shown(this.#root);
  }

  #follow({ path, what, ...change }) {
    const name = path.at(-1);
    const map = path.slice(0, -1).reduce((above, key) => (above[key] ??= {}), this.#root);
    const put = (value, isThere) => (isThere ? (map[name] = value) : delete map[name]);
    const items = () => (map[name] ??= []);
    switch (what) {
      case "written":
        return put(change.value, change.value !== undefined);
      case "counted":
        if ((map[name] ?? 0) + change.by !== change.value) throw new Error(`${path}: ${map[name]} + ${change.by} is not ${change.value}`);
        return put(change.value, true);
      case "raised":
        return put(change.up, change.up === (change.kind === "flag"));
      case "added":
        if (items().includes(change.item)) throw new Error(`${path}: ${change.item} is there already`);
        return put([...items(), change.item].sort(), true);
      case "removed":
        if (!items().includes(change.item)) throw new Error(`${path}: ${change.item} is not there`);
        return put(items().filter((item) => item !== change.item), true);
      case "inserted":
        return items().splice(change.index, 0, change.value);
      case "replaced":
        return items().splice(change.index, 1, change.value);
      case "taken":
        return items().splice(change.index, 1);
      default:
        throw new Error(`nobody knows what "${what}" is`);
    }
  }
}
