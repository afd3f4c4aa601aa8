import { byId, h } from "./dom.js";

const SHOWN_MILLIS = 8_000;

/** Shows a message for a while, with something that can be done about it. */
export function toast(message: string, action?: { label: string; do: () => void }): void {
  const close = () => {
    clearTimeout(timer);
    element.remove();
  };
  const element = h("div", { class: "toast" }, h("p", {}, message));
  if (action) {
    const act = () => {
      close();
      action.do();
    };
    element.append(h("button", { type: "button", click: act }, action.label));
  }
  element.append(h("button", { type: "button", class: "close", "aria-label": "Close this message", click: close }, "×"));
  byId("toasts").append(element);
  let timer = setTimeout(close, SHOWN_MILLIS);
  // Who reads or aims at it has as long as it takes.
  for (const pause of ["pointerenter", "focusin"]) element.addEventListener(pause, () => clearTimeout(timer));
  for (const resume of ["pointerleave", "focusout"]) {
    element.addEventListener(resume, () => {
      clearTimeout(timer);
      timer = setTimeout(close, SHOWN_MILLIS);
    });
  }
}
