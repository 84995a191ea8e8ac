// Amends Gradio's components: what they lack for keyboards, phones and screen readers.

// Left and Right, Home and End move between the tabs.
document.addEventListener("keydown", (event) => {
  const list = event.target.closest?.("[role=tablist]");
  if (!list || !event.target.matches("[role=tab]")) return;
  const tabs = [...list.querySelectorAll("[role=tab]")].filter((tab) => tab.offsetParent && !tab.disabled);
  const place = tabs.indexOf(event.target);
  const next = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: -1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const tab = tabs.at(next % tabs.length);
  tab.focus();
  tab.click();
});

// Phones show a keyboard with digits where a number is asked for.
document.addEventListener("focusin", ({ target }) => {
  if (target.closest(".correction") && target.matches("input, textarea")) target.inputMode = "decimal";
});

// A correction belongs to its picture: another picture empties it. `element` is in the tab of that picture.
export function emptyCorrection(element) {
  for (const input of element.closest(".tabitem")?.querySelectorAll(".correction :is(input, textarea)") ?? []) {
    if (!input.value) continue;
    input.value = "";
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
