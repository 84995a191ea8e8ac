// Slow motion: the way of a digit from the ink to the answer, layer after layer.

import { make } from "./cell.js";

const WHOLE = 13000; // duration for a network of few layers, in milliseconds
const [SHORTEST, LONGEST] = [350, 1800]; // of one layer
const PAUSE = 0.25; // after a layer, as a fraction of its duration

const WORDS = {
  convolution: "Each kernel slides over the maps above. Where they match it, its map lights up.",
  maximum: "Of each square only the largest value is kept: it matters that a stroke is there, less where exactly.",
  mean: "Of each map only the mean is kept.",
  linear: "Each number is a weighted sum of all numbers above.",
  sum: "The layer's result is added to what entered it.",
  concatenation: "The maps of both branches, one after the other.",
  ensemble: "The mean over all networks of the ensemble; the layers above are those of the first.",
};

// Shows the layers one by one; with `steps`, each call shows the next one, without motion.
export function film(panel, steps) {
  if (panel.running && !steps) return panel.running.stop();
  panel.running ??= new Film(panel);
  if (steps) panel.running.step();
  else panel.running.run();
}

class Film {
  constructor(panel) {
    this.panel = panel;
    this.stages = [panel.flow.querySelector(".ink-stage"), ...panel.stages.querySelectorAll(".stage")];
    this.next = 0;
    this.caption = make("p", "caption");
    this.label = panel.play.textContent;
    panel.explain(null);
    panel.section.classList.add("playing");
    for (const sheet of panel.sheets) this.reveal(sheet, 0);
  }

  reveal(sheet, share) {
    sheet.revealed = share;
    sheet.repaint();
  }

  // Brings a stage to the front, and says what happens there.
  enter(index, motion) {
    this.stages.forEach((stage, place) => {
      stage.classList.toggle("now", place === index);
      stage.classList.toggle("done", place < index);
    });
    const layer = this.panel.answer.layers[index - 1];
    const last = index === this.stages.length - 1;
    this.caption.textContent =
      index === 0 ? "The network sees the ink only, scaled to 28 × 28 pixels."
      : last && layer.kind === "linear" ? "Each answer is a weighted sum of the numbers above. The largest wins."
      : WORDS[layer.kind];
    this.stages[index].firstChild.after(this.caption);
    const { top, bottom } = this.stages[index].getBoundingClientRect();
    if (top < 0 || bottom > innerHeight)
      this.stages[index].scrollIntoView({ block: "center", behavior: motion ? "smooth" : "auto" });
  }

  step() {
    if (this.next === this.stages.length) return this.stop();
    this.enter(this.next, false);
    const sheet = this.panel.sheets[this.next - 1];
    if (sheet) this.reveal(sheet, 1);
    this.next++;
    this.panel.play.textContent = this.next === this.stages.length ? "Done" : "Next";
  }

  async run() {
    this.panel.play.textContent = "Stop";
    const duration = Math.max(SHORTEST, Math.min(LONGEST, WHOLE / this.stages.length));
    for (let index = 0; index < this.stages.length; index++) {
      this.enter(index, true);
      const started = performance.now();
      for (let share = 0; share < 1 + PAUSE; ) {
        const now = await new Promise(requestAnimationFrame);
        if (this.stopped) return;
        share = Math.max(0, now - started) / duration;
        this.draw(index, Math.min(1, share));
      }
    }
    await new Promise((done) => setTimeout(done, 1500));
    if (!this.stopped) this.stop();
  }

  // Draws a part of a layer: its maps as far as the kernel has come, and the ink below it.
  draw(index, share) {
    const { panel } = this;
    const sheet = panel.sheets[index - 1];
    if (!sheet) return;
    const [, height, width] = panel.answer.layers[index - 1].shape;
    const done = Math.min(height * width - 1, Math.floor(share * height * width));
    this.reveal(sheet, share);
    panel.markInk(share < 1 ? [index - 1, 0, Math.floor(done / width), done % width] : null);
  }

  stop() {
    this.stopped = true;
    const { panel } = this;
    panel.running = null;
    panel.play.textContent = this.label;
    panel.section.classList.remove("playing");
    for (const stage of this.stages) stage.classList.remove("now", "done");
    this.caption.remove();
    for (const sheet of panel.sheets) this.reveal(sheet, 1);
    panel.markInk(null);
  }
}
