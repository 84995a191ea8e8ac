// Look inside: what every layer of the network computes for the chosen digit, updated while it is drawn.

import { ask } from "./ask.js";
import { make, say, showCell } from "./cell.js";
import { film } from "./film.js";
import { links } from "./links.js";
import { Sheet } from "./maps.js";
import { pace } from "./pad.js";

const STYLES = ["inside.css", "layers.css", "cell.css"];
const LIVE = 60; // minimum time between two reports of the pad while the panel is open, in milliseconds
const [ROOM_ABOVE, ROOM_BELOW] = [40, 20]; // for the bars of logits, in CSS pixels
const FOOTNOTE =
  "Every number is the network's own, as it reads your digit. Batch norm is part of the kernels, and a map shows what is left after ReLU.";
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const panels = new WeakMap();

// Opens the panel in `section` for the digit of a pressed card, or for the last one.
export function lookInside(tab, section, pressed) {
  if (!panels.has(section)) panels.set(section, new Panel(tab, section));
  const cards = [...tab.querySelectorAll(".card")];
  panels.get(section).open(cards.indexOf(pressed.closest(".card")));
}

function loadStyle(name) {
  const href = new URL(name, import.meta.url).href;
  return new Promise((loaded) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href, onload: loaded });
    document.head.append(link);
  });
}

class Panel {
  constructor(tab, section) {
    this.tab = tab;
    this.section = section;
    this.host = section.closest(".block.inside-host");
    this.styled = Promise.all(STYLES.map(loadStyle));
    this.chosen = -1; // index of the digit; -1 is the last one
    this.place = null; // the value that is explained: layer, channel, row, column
    this.sheets = [];
    this.build();
    new ResizeObserver(() => this.layout()).observe(this.flow);
    new MutationObserver(() => this.refresh()).observe(this.host.previousElementSibling, { childList: true, subtree: true }); // the cards
  }

  build() {
    this.chooser = make("div", "chooser");
    this.play = make("button", "primary", calm.matches ? "Step through" : "Slow motion");
    this.close = make("button", "", "Close");
    this.ink = make("canvas", "ink");
    this.ink.width = this.ink.height = 28;
    this.mark = make("i", "mark");
    const legend = make("p", "legend-scale", make("span", "", "below 0"), make("i", ""), make("span", "", "above 0"));
    const inkStage = make(
      "div",
      "stage ink-stage",
      make("h3", "", "Ink", make("small", "", "28 × 28 pixels")),
      make("div", "ink-frame", this.ink, this.mark),
    );
    this.stages = make("div", "stages");
    this.overlay = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.overlay.classList.add("links");
    this.flow = make("div", "flow", inkStage, this.stages, this.overlay);
    this.cell = make("div", "cell");
    this.cell.setAttribute("aria-live", "polite");
    this.cell.hidden = true;
    this.message = make("p", "message");
    this.section.append(
      make("header", "", make("h2", "", "Inside the network"), this.chooser, legend, make("span", "buttons", this.play, this.close)),
      this.message,
      this.flow,
      this.cell,
    );
    for (const button of [this.play, this.close]) button.type = "button";
    this.play.disabled = true; // until there is something to show
    this.close.addEventListener("click", () => this.shut());
    this.play.addEventListener("click", () => film(this, calm.matches));
    this.chooser.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button) this.choose([...this.chooser.children].indexOf(button));
    });
    this.section.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      if (this.place) this.explain(null);
      else this.shut();
    });
  }

  get isOpen() {
    return !this.section.hidden;
  }

  async open(index) {
    this.chosen = index;
    await this.styled;
    this.section.hidden = false;
    this.host.parentElement.classList.add("looking");
    this.usual ??= pace.live;
    pace.live = LIVE;
    this.refresh();
    this.section.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
  }

  shut() {
    this.section.hidden = true;
    this.explain(null);
    this.host.parentElement.classList.remove("looking");
    pace.live = this.usual;
    this.tab.querySelector(".open-inside")?.focus();
  }

  choose(index) {
    this.chosen = index;
    this.refresh();
  }

  // Asks again if another digit, run or value is to be shown. While an answer is awaited, the last wish waits.
  refresh() {
    if (!this.isOpen) return;
    const cards = [...this.tab.querySelectorAll(".card")];
    const index = this.chosen < 0 || this.chosen >= cards.length ? cards.length - 1 : this.chosen;
    const frames = cards.map((card) => card.querySelector("img").src);
    this.showChoice(frames, index);
    const wish = [frames[index] ?? "", this.tab.querySelector("[data-run]")?.dataset.run ?? "", this.place];
    const key = JSON.stringify(wish);
    if (this.asking || key === this.shown || !frames.length) return;
    this.asking = true;
    ask(...wish)
      .then((answer) => this.show(answer, wish[0]), (error) => this.fail(error))
      .finally(() => {
        this.asking = false;
        this.shown = key;
        this.refresh();
      });
  }

  showChoice(frames, index) {
    this.section.classList.toggle("blank", frames.length === 0);
    const key = `${index} ${frames.join()}`;
    if (key === this.choice) return;
    this.choice = key;
    this.chooser.hidden = frames.length < 2;
    while (this.chooser.children.length > frames.length) this.chooser.lastChild.remove();
    frames.forEach((frame, place) => {
      const button = this.chooser.children[place] ?? this.chooser.appendChild(make("button", "", new Image()));
      button.type = "button";
      button.firstChild.src = frame;
      button.firstChild.alt = `Digit ${place + 1}`;
      button.setAttribute("aria-pressed", place === index);
    });
  }

  fail(error) {
    this.message.textContent = error.message;
    this.flow.hidden = true;
  }

  async show(answer, frame) {
    this.message.textContent = "";
    this.flow.hidden = false;
    this.answer = answer;
    this.play.disabled = false;
    const shapes = JSON.stringify(answer.layers.map(({ title, shape }) => [title, shape]));
    if (shapes !== this.shapes) this.buildStages(answer.layers);
    this.shapes = shapes;
    let start = 0;
    answer.layers.forEach((layer, index) => {
      const [, height, width] = layer.shape;
      const end = start + layer.shown * height * width;
      this.sheets[index]?.set(layer, answer.maps.subarray(start, end), calm.matches);
      start = end;
    });
    this.showAnswer(answer);
    await this.showInk(frame);
    if (answer.cell && this.place) {
      this.cell.hidden = false;
      showCell(this.cell, answer.cell, answer, this.ink, () => this.explain(null));
    }
    this.link();
    this.section.dataset.updates = Number(this.section.dataset.updates ?? 0) + 1;
  }

  async showInk(frame) {
    const image = new Image();
    image.src = frame;
    await image.decode();
    this.ink.getContext("2d").drawImage(image, 0, 0);
  }

  buildStages(layers) {
    this.place = null;
    this.cell.hidden = true;
    this.sheets = [];
    const stages = layers.slice(0, -1).map((layer, index) => {
      const canvas = make("canvas", "");
      canvas.tabIndex = 0;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${layer.title}: ${describe(layer)}. Arrow keys choose a value.`);
      this.sheets.push(new Sheet(canvas));
      this.listen(canvas, index);
      const heading = make("h3", "", layer.title, make("small", "", describe(layer)));
      return make("div", "stage", heading, make("div", "sheet", canvas));
    });
    this.logits = make("ol", "logits");
    const heading = make("h3", "", "Logits", make("small", "", "the largest wins"));
    this.stages.replaceChildren(...stages, make("div", "stage answer", heading, this.logits), make("p", "footnote", FOOTNOTE));
    const count = layers.at(-1).shape[0];
    for (let digit = 0; digit < count; digit++) {
      const button = make("button", "", make("i", ""), make("b", "", digit < 10 ? digit : "none"), make("small", ""));
      button.type = "button";
      button.addEventListener("click", () => this.explain([layers.length - 1, digit, 0, 0]));
      this.logits.append(make("li", "", button));
    }
  }

  showAnswer({ logits, probabilities }) {
    const unit = Math.max(...logits.map((logit) => (logit < 0 ? -logit / ROOM_BELOW : logit / ROOM_ABOVE))) || 1;
    const best = logits.indexOf(Math.max(...logits));
    [...this.logits.children].forEach((item, digit) => {
      item.className = `${digit === best ? "best" : ""} ${logits[digit] < 0 ? "below" : ""}`;
      item.style.setProperty("--height", `${Math.abs(logits[digit] / unit)}px`);
      item.querySelector("small").textContent = say(logits[digit]);
      const share = probabilities[digit];
      item.title = share === undefined ? "no digit" : `${digit}: ${(100 * share).toFixed(1)}%`;
    });
  }

  listen(canvas, index) {
    const find = ({ offsetX, offsetY }) => this.sheets[index].at(offsetX, offsetY);
    canvas.addEventListener("click", (event) => {
      const found = find(event);
      if (found) this.explain([index, ...found]);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse") this.hover(index, find(event));
    });
    canvas.addEventListener("pointerleave", () => this.hover(index, null));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!step) return;
      event.preventDefault();
      const [, channels, row, column] = this.place?.[0] === index ? this.place : [index, 0, -step[0], -step[1]];
      const [, height, width] = this.answer.layers[index].shape;
      const wrap = (value, size) => (value + size) % size;
      this.explain([index, channels, wrap(row + step[0], height), wrap(column + step[1], width)]);
    });
  }

  // Marks the ink on which a value depends.
  hover(index, found) {
    this.hovered = found && [index, ...found];
    this.markInk(this.hovered ?? this.place);
  }

  markInk(place) {
    this.mark.hidden = !place;
    if (!place) return;
    const [start, step, size] = this.answer.layers[place[0]].window;
    const [top, left] = [place[2], place[3]].map((each) => Math.max(0, start + each * step));
    const [bottom, right] = [place[2], place[3]].map((each) => Math.min(28, start + each * step + size));
    const style = { left, top, width: right - left, height: bottom - top };
    for (const [name, value] of Object.entries(style)) this.mark.style[name] = `${(100 * value) / 28}%`;
  }

  // Explains a value, or none for null.
  explain(place) {
    this.place = place;
    if (!place) {
      this.cell.hidden = true;
      this.link();
    }
    this.refresh();
  }

  link() {
    this.markInk(this.hovered ?? this.place);
    links(this.overlay, this.place ? this.answer?.cell : null, this);
  }

  layout() {
    for (const sheet of this.sheets) sheet.layout();
    this.link();
  }
}

// Returns what a layer consists of.
function describe({ shape: [channels, height, width], shown }) {
  const of = shown < channels ? `${shown} of ${channels}` : channels;
  return height * width === 1 ? `${of} numbers` : `${of} maps, ${height} × ${width}`;
}
