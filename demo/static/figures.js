// The figures of a run: a click shows one as large as the screen allows, another click closes it.

const dialog = document.createElement("dialog");
dialog.className = "figure";
dialog.setAttribute("aria-label", "Figure");
dialog.append(document.createElement("img"));
dialog.addEventListener("click", () => dialog.close());
document.body.append(dialog);

document.addEventListener("click", ({ target }) => {
  const image = target.closest(".figures button")?.querySelector("img");
  if (!image) return;
  [dialog.firstChild.src, dialog.firstChild.alt] = [image.src, image.alt];
  dialog.showModal();
});
