// The drawing in the tab's storage. It survives a reload, Back, a closed tab that is restored, and a server that is away.

import { Drawing } from "./drawing.js";

const KEY = "drawing";

export function save({ actions, undone }) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ actions, undone }, rounded));
  } catch {
    // The storage is full, or the browser has none.
  }
}

// Returns the stored drawing; an empty one if there is none.
export function load() {
  const drawing = new Drawing();
  try {
    const { actions, undone } = JSON.parse(sessionStorage.getItem(KEY));
    if (actions.concat(undone).every(({ strokes }) => strokes.every(isStroke))) Object.assign(drawing, { actions, undone });
  } catch {
    // Nothing is stored, or not by this version of the page.
  }
  return drawing;
}

function isStroke({ points, width }) {
  return width > 0 && points.length > 0 && points.every(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
}

function rounded(_, value) {
  return typeof value === "number" ? Math.round(value * 1e4) / 1e4 : value;
}
