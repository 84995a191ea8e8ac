// The page: a pad that works before Gradio has loaded, and then belongs to it.

import { emptyCorrection } from "./amend.js";
import { watchConnection } from "./connection.js";
import "./figures.js";
import { Pad } from "./pad.js";
import { sendPhotoAgain } from "./photo.js";
import { load, save } from "./store.js";

export { adoptPhoto } from "./photo.js";

let send = () => {}; // until Gradio has loaded

export const pad = new Pad(document.querySelector(".pad"), load(), () => {
  save(pad.drawing);
  emptyCorrection(pad.element);
  send();
});

// Moves the pad into Gradio's page, in place of the first screen. `element`, `props` and `trigger` are Gradio's.
export function adoptPad(element, props, trigger) {
  element.append(pad.element);
  document.getElementById("first")?.remove();
  outrank();
  send = () => {
    props.value = pad.takePicture();
    trigger("input");
  };
  if (!pad.drawing.empty) send();
}

watchConnection(() => {
  send();
  sendPhotoAgain();
});
addEventListener("pageshow", ({ persisted }) => persisted && send());

// Gradio's styles have come after the page's, which would lose to them: add these again, and then remove the first ones.
function outrank() {
  for (const link of document.head.querySelectorAll("link[data-own]")) {
    const last = link.cloneNode();
    last.removeAttribute("data-own");
    last.addEventListener("load", () => link.remove());
    document.head.append(last);
  }
}
