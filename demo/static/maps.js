// Maps: the values of a layer as small pictures, in the one scale of colours of the page: blue below zero, dark at
// zero, amber above. The brightest value of a layer is as bright as that of any other layer.

const DOT = 3;
const EASE = 0.4; // part of the way to new values that each frame goes
const STOPS = {
  above: [[30, 29, 34], [120, 52, 20], [255, 122, 26], [255, 206, 128], [255, 246, 228]],
  below: [[30, 29, 34], [22, 62, 118], [56, 150, 255], [150, 204, 255], [228, 242, 255]],
};

function mix(stops, share) {
  const place = share * (stops.length - 1);
  const index = Math.min(stops.length - 2, Math.floor(place));
  return stops[index].map((each, i) => Math.round(each + (stops[index + 1][i] - each) * (place - index)));
}

// The colours of the values -127 to 127, as 32-bit words of an ImageData. Small values are raised, so that they show.
const WORDS = Uint32Array.from({ length: 255 }, (_, index) => {
  const value = (index - 127) / 127;
  const [red, green, blue] = mix(value < 0 ? STOPS.below : STOPS.above, Math.abs(value) ** 0.6);
  return 0xff000000 | (blue << 16) | (green << 8) | red;
});

// Returns the CSS colour of a value in -1..1.
export function colour(value) {
  const word = WORDS[Math.round(Math.max(-1, Math.min(1, value)) * 127) + 127];
  return `rgb(${word & 255} ${(word >> 8) & 255} ${(word >> 16) & 255})`;
}

// Returns the width of a value in CSS pixels: a whole number of device pixels, smaller in larger maps.
function unitOf(side, room) {
  const wanted = side >= 20 ? (room < 500 ? 36 : 48) : side >= 9 ? 24 : side >= 4 ? 15 : 9;
  const pixel = 1 / devicePixelRatio;
  return Math.max(pixel, Math.round(wanted / side / pixel) * pixel);
}

// A canvas with the maps of one layer. It has one pixel a value and a pixel between two maps; the browser enlarges it.
// Maps of one value are squares of `DOT` pixels.
export class Sheet {
  constructor(canvas) {
    this.canvas = canvas;
    this.values = new Float32Array(0); // as shown, in -127..127
    this.target = this.values;
    this.revealed = 1; // part of each map that is shown, from its top left corner
  }

  // Takes new values, int8, of `shown` maps of this shape.
  set({ shown, shape: [, height, width] }, values, atOnce) {
    const same = this.shown === shown && this.height === height && this.width === width;
    Object.assign(this, { shown, height, width, target: values });
    if (!same) {
      this.values = new Float32Array(values.length);
      this.layout();
    }
    if (atOnce) this.values.set(values);
    this.repaint();
  }

  // Arranges the maps in rows of equal length.
  layout() {
    const room = this.canvas.parentElement.clientWidth;
    if (!room || !this.shown) return;
    this.dot = this.width * this.height === 1 ? DOT : 1;
    this.unit = unitOf(Math.max(this.width, this.height), room) / this.dot;
    this.pitch = this.width * this.dot + 1; // from map to map, in pixels of the canvas
    const fitting = Math.max(1, Math.floor((room / this.unit + 1) / this.pitch));
    const lines = Math.ceil(this.shown / fitting);
    this.columns = Math.ceil(this.shown / lines);
    this.lead = this.height * this.dot + 1;
    [this.canvas.width, this.canvas.height] = [this.columns * this.pitch - 1, lines * this.lead - 1];
    this.canvas.style.width = `${this.canvas.width * this.unit}px`;
    this.image = new ImageData(this.canvas.width, this.canvas.height);
    this.words = new Uint32Array(this.image.data.buffer);
    this.repaint();
  }

  repaint() {
    this.painting ??= requestAnimationFrame(() => {
      this.painting = undefined;
      if (this.ease()) this.repaint();
      this.paint();
    });
  }

  // Moves the shown values towards the new ones; returns whether they differ still.
  ease() {
    let moving = false;
    for (let i = 0; i < this.target.length; i++) {
      const difference = this.target[i] - this.values[i];
      if (difference > 1.5 || difference < -1.5) {
        this.values[i] += difference * EASE;
        moving = true;
      } else this.values[i] = this.target[i];
    }
    return moving;
  }

  paint() {
    if (!this.columns) return;
    const { width, height, columns, values, words, dot } = this;
    const line = this.canvas.width;
    const area = width * height;
    const limit = this.revealed * area;
    for (let map = 0, i = 0; map < this.shown; map++) {
      const corner = Math.floor(map / columns) * this.lead * line + (map % columns) * this.pitch;
      for (let place = 0; place < area; place++, i++) {
        const word = WORDS[Math.round(place < limit ? values[i] : 0) + 127];
        const start = corner + Math.floor(place / width) * line + (place % width);
        for (let row = 0; row < dot; row++) words.fill(word, start + row * line, start + row * line + dot);
      }
    }
    this.canvas.getContext("2d").putImageData(this.image, 0, 0);
  }

  // Returns the value at a point of the canvas, in CSS pixels: [map, row, column]; null between the maps.
  at(x, y) {
    const [across, down] = [x / this.unit, y / this.unit];
    const [column, line] = [Math.floor(across / this.pitch), Math.floor(down / this.lead)];
    const map = line * this.columns + column;
    const place = [down - line * this.lead, across - column * this.pitch].map((each) => Math.floor(each / this.dot));
    const inside = place[0] >= 0 && place[1] >= 0 && place[0] < this.height && place[1] < this.width;
    return inside && column < this.columns && map < this.shown ? [map, ...place] : null;
  }

  // Returns the box of a square of values on the canvas: left, top, width and height in CSS pixels; null if the map is
  // not shown. What lies outside the map is left out.
  box(map, row, column, side = 1) {
    if (map >= this.shown) return null;
    const unit = this.unit * this.dot;
    const [left, right] = [column, column + side].map((each) => Math.max(0, Math.min(this.width, each)) * unit);
    const [top, bottom] = [row, row + side].map((each) => Math.max(0, Math.min(this.height, each)) * unit);
    return {
      left: (map % this.columns) * this.pitch * this.unit + left,
      top: Math.floor(map / this.columns) * this.lead * this.unit + top,
      width: right - left,
      height: bottom - top,
    };
  }
}
