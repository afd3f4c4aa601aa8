/** Who edits in this browser: a name and a colour, kept here and shown to the others. */

import { h } from "./dom.js";

/** A person, as the others see one. */
export interface Person {
  name: string;
  /** The hue of their colour, in degrees. */
  hue: number;
}

const KEY = "watersmeet-demo.me";
const ADJECTIVES = ["Quiet", "Swift", "Amber", "Early", "Clear", "Upland", "Silver", "Merry"];
const ANIMALS = ["Heron", "Otter", "Dipper", "Beaver", "Curlew", "Salmon", "Kingfisher", "Vole"];

export const me: Person = load();
const listeners: (() => void)[] = [];

export function rename(name: string): void {
  const trimmed = name.trim().slice(0, 40);
  if (!trimmed || trimmed === me.name) return;
  me.name = trimmed;
  remember();
  for (const listener of listeners) listener();
}

export function onRename(listener: () => void): void {
  listeners.push(listener);
}

/** A person as a coloured disc with an initial. */
export function avatar(person: Person, title: string): HTMLElement {
  const disc = h("span", { class: "avatar", title, "aria-hidden": "true" }, [...person.name][0]?.toUpperCase() ?? "?");
  disc.style.setProperty("--hue", String(person.hue));
  return disc;
}

function load(): Person {
  try {
    const { name, hue } = JSON.parse(localStorage.getItem(KEY) ?? "") as Partial<Person>;
    if (typeof name === "string" && typeof hue === "number") return { name, hue };
  } catch {
    // The first visit, or a browser that remembers nothing.
  }
  const pick = (words: string[]) => words[Math.floor(Math.random() * words.length)] ?? "Some";
  return { name: `${pick(ADJECTIVES)} ${pick(ANIMALS)}`, hue: Math.floor(Math.random() * 360) };
}

function remember(): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(me));
  } catch {
    // Then the name lasts as long as the page.
  }
}

remember();
