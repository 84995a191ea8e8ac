// The pad: canvas, tools and keys around a drawing. It reports every change of the drawing.

import { exampleStrokes, replay } from "./examples.js";
import { isBlank, MARGIN, paint, toPicture } from "./ink.js";
import { watchPen } from "./pen.js";

// Width of a stroke, as a fraction of the pad's height and of its width; the smaller one counts, so that six digits fit on
// a phone.
const PEN = [0.05, 0.022];
const ERASER = [0.12, 0.06];

export const pace = { live: 200 }; // minimum time between two reports during a stroke, in milliseconds

export class Pad {
  // `element` is that of pad.html. `changed` is called whenever `picture` has changed.
  constructor(element, drawing, changed) {
    this.element = element;
    this.canvas = element.querySelector("canvas");
    this.canvas.pad = this; // for the page's other modules
    this.changed = changed;
    this.drawing = drawing;
    this.width = this.height = 0; // in CSS pixels
    this.view = { scale: 1, left: 0, top: 0 };
    this.erasing = false;
    this.stroke = null; // the current one
    this.replays = 0; // a change stops the running replay
    this.reported = 0;
    watchPen(this.canvas, {
      begin: (point, continues) => this.begin(point, continues),
      extend: (points) => this.extend(points),
      end: () => this.end(),
    });
    this.listen();
    this.canvas.hidden = false; // it is armed from here on
  }

  // The pad as a PNG, a data URL; null without ink.
  get picture() {
    return this.drawing.empty ? null : toPicture(this.drawing.strokes, this.view, this.width, this.height);
  }

  // Returns the picture, and remembers the pad's size and view for the boxes of its reading.
  takePicture() {
    this.taken = { view: this.view, width: this.width, height: this.height };
    return this.picture;
  }

  listen() {
    const { element, canvas } = this;
    element.addEventListener("click", ({ target }) => {
      const pressed = target.closest("button");
      if (pressed?.dataset.do) this.act(pressed.dataset.do);
      if (pressed && "example" in pressed.dataset) this.play(pressed);
    });
    document.addEventListener("keydown", (event) => {
      if (!canvas.offsetParent || event.target.closest("input, textarea, select, [contenteditable]")) return;
      const name = keyName(event, element.contains(event.target));
      if (name === null) return;
      event.preventDefault();
      this.act(name);
    });
    new ResizeObserver(() => this.resize()).observe(canvas);
    addEventListener("resize", () => this.resize()); // also after a change of the zoom, that is, of the pixel ratio
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
  }

  button(name) {
    return this.element.querySelector(`[data-do=${name}]`);
  }

  // Pointer

  toUnits([x, y]) {
    const { scale, left, top } = this.view;
    return [(x - left) / scale, (y - top) / scale];
  }

  strokeWidth([ofHeight, ofWidth]) {
    return Math.min(ofHeight * this.height, ofWidth * this.width);
  }

  begin(point, continues) {
    this.replays++;
    const width = this.strokeWidth(this.erasing ? ERASER : PEN) / this.view.scale;
    this.stroke = { points: [this.toUnits(point)], width, erases: this.erasing };
    if (continues) this.drawing.actions.at(-1).strokes.push(this.stroke);
    else this.drawing.add(this.width / this.height, [this.stroke]);
    this.repaint();
  }

  extend(points) {
    this.stroke.points.push(...points.map((point) => this.toUnits(point)));
    this.repaint();
    this.reportWhileDrawing();
  }

  end() {
    this.stroke = null;
    if (this.erasing) {
      this.paint();
      const blank = isBlank(this.canvas);
      this.drawing.end(blank);
      if (blank) {
        this.erase(false);
        this.refit();
      }
    }
    this.report();
  }

  // Tools

  act(name) {
    this.replays++;
    if (this.stroke !== null || this.button(name).ariaDisabled === "true") return;
    if (name === "erase") return this.erase(!this.erasing);
    if (name === "clear") this.erase(false);
    this.drawing[name]();
    this.refit();
    this.report();
  }

  erase(on) {
    this.erasing = on;
    this.button("erase").setAttribute("aria-pressed", on);
    this.canvas.classList.toggle("erasing", on);
  }

  play(button) {
    if (this.stroke !== null) return;
    const mine = ++this.replays;
    const frame = this.width / this.height;
    const strokes = exampleStrokes(button, frame, this.strokeWidth(PEN) / this.height);
    this.erase(false);
    this.drawing.add(frame, strokes, !this.drawing.empty);
    this.refit();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.report();
    const action = this.drawing.actions.at(-1);
    replay(strokes, (shown) => {
      const running = mine === this.replays;
      action.strokes = running ? shown : strokes;
      this.repaint();
      this.reportWhileDrawing();
      return running;
    }).then(() => this.report());
  }

  // Screen

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth) return; // hidden by another tab
    [this.width, this.height] = [clientWidth, clientHeight];
    [this.canvas.width, this.canvas.height] = [clientWidth, clientHeight].map((side) =>
      Math.round(side * devicePixelRatio),
    );
    this.refit();
    this.paint();
  }

  refit() {
    this.view = this.drawing.fit(this.width, this.height);
    this.placeBoxes();
  }

  // Shows the boxes of the taken picture's reading, an element of the picture's shape; null shows none.
  showBoxes(boxes) {
    this.boxes?.remove();
    this.boxes = boxes;
    if (!boxes) return;
    this.canvas.after(boxes);
    this.placeBoxes();
  }

  // Keeps the boxes on their ink if the pad has changed since then.
  placeBoxes() {
    if (!this.boxes) return;
    const { view, width, height } = this.taken;
    const scale = this.view.scale / view.scale;
    const margin = MARGIN * Math.max(width, height);
    const { style } = this.boxes;
    style.left = `${this.view.left - (view.left + margin) * scale}px`;
    style.top = `${this.view.top - (view.top + margin) * scale}px`;
    style.width = `${(width + 2 * margin) * scale}px`;
    style.height = `${(height + 2 * margin) * scale}px`;
  }

  repaint() {
    this.painting ??= requestAnimationFrame(() => this.paint());
  }

  paint() {
    cancelAnimationFrame(this.painting);
    this.painting = undefined;
    const { canvas, drawing } = this;
    paint(canvas, drawing.strokes, this.view, canvas.width / this.width, getComputedStyle(canvas).color);
    this.element.classList.toggle("drawn", !drawing.empty);
    // A disabled button would lose the focus.
    this.button("undo").ariaDisabled = drawing.actions.length === 0;
    this.button("redo").ariaDisabled = drawing.undone.length === 0;
    this.button("clear").ariaDisabled = drawing.empty;
  }

  // Reports

  report() {
    this.repaint();
    this.reported = performance.now();
    this.changed();
  }

  reportWhileDrawing() {
    if (performance.now() - this.reported <= pace.live) return;
    this.reported = performance.now();
    this.changed();
  }
}

// Returns the name of a key's tool; null if it has none.
function keyName(event, onPad) {
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") return event.shiftKey ? "redo" : "undo";
    return key === "y" ? "redo" : null;
  }
  if (event.altKey) return null;
  if (key === "delete" || key === "escape") return "clear";
  return key === "e" && onPad ? "erase" : null;
}
