// The picture: chosen, taken, pasted or dropped anywhere on the page, and uploaded.

import { emptyCorrection } from "./amend.js";

let read = null; // reads a picture, as soon as Gradio has loaded the tab
let waiting = null; // the picture that is to be read then
let current = null; // the picture that is shown

// Makes `element` the place of the picture. `element`, `props`, `trigger` and `watch` are Gradio's.
export function adoptPhoto(element, props, trigger, watch) {
  const status = element.querySelector("[role=alert]");

  function show(value) {
    emptyCorrection(element);
    props.value = value;
    trigger("input");
  }

  read = async (file) => {
    current = file;
    status.textContent = "";
    element.classList.add("sending");
    const form = new FormData();
    form.append("files", file, file.name || "picture");
    const response = await fetch("gradio_api/upload", { method: "POST", body: form }).catch(() => null);
    element.classList.remove("sending");
    if (current !== file) return; // a later one has come
    if (response?.ok) return show({ path: (await response.json())[0] });
    status.textContent =
      response?.status === 413 ? "The picture is larger than 20 MB; save it smaller."
      : response ? "The picture could not be sent; reload the page."
      : "The server does not answer. The picture is sent as soon as it answers.";
  };
  element.addEventListener("click", ({ target }) => target.closest("button")?.nextElementSibling.click());
  element.addEventListener("change", ({ target }) => {
    if (target.files.length) read(target.files[0]);
    target.value = ""; // the same file can be chosen again
  });
  // "Another picture" empties the value.
  watch("value", () => {
    if (props.value || !current) return;
    current = null;
    show(null);
    focusWhenShown(element.querySelector("button"));
  });
  if (waiting) read(waiting);
  waiting = null;
}

// Sends the picture that is shown again, to a server that may have been restarted.
export function sendPhotoAgain() {
  if (current) read?.(current);
}

function focusWhenShown(button, frames = 300) {
  if (button.offsetParent) button.focus();
  else if (frames) requestAnimationFrame(() => focusWhenShown(button, frames - 1));
}

function accept(event, files) {
  if (!files.length) return;
  event.preventDefault();
  [...document.querySelectorAll("button[role=tab]")].find((tab) => tab.textContent.trim() === "Upload")?.click();
  if (read) read(files[0]);
  else waiting = files[0];
}

document.addEventListener("paste", (event) => accept(event, event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (relatedTarget === null) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  accept(event, event.dataTransfer.files);
});
