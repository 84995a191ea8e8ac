// The drawing: strokes instead of pixels, with undo of every step. It knows neither the screen nor the page.
//
// Points are in units of the pad's height when the drawing was begun, from the pad's top left corner. That pad is the
// drawing's frame. On a pad of another shape the frame is shown as large as possible, so that a drawing keeps its size
// relative to the pad, however often the pad changes.
//
// An action is one step of undo: {clears, frame, strokes}. `clears` hides what was drawn before, `frame` is the width
// of the pad in units of its height, on the action that begins a drawing, and a stroke is {points, width, erases}.

export class Drawing {
  constructor() {
    this.actions = [];
    this.undone = [];
  }

  // The actions since the drawing was last cleared.
  get current() {
    return this.actions.slice(Math.max(0, this.actions.findLastIndex(({ clears }) => clears)));
  }

  get strokes() {
    return this.current.flatMap(({ strokes }) => strokes);
  }

  get empty() {
    return this.strokes.length === 0;
  }

  // The width of the frame, in units of its height; undefined without a drawing.
  get frame() {
    return this.current.find(({ strokes }) => strokes.length)?.frame;
  }

  // Adds an action. `frame` is the pad's, which becomes the drawing's if there is no drawing.
  add(frame, strokes, clears = false) {
    const begins = clears || this.empty;
    this.actions.push({ clears, strokes, ...(begins && { frame }) });
    this.undone = [];
  }

  // Ends the last action; one that has erased all ink becomes a Clear.
  end(blank) {
    if (blank) this.actions.push({ ...this.actions.pop(), clears: true, strokes: [] });
  }

  clear() {
    this.add(undefined, [], true);
  }

  undo() {
    this.undone.push(this.actions.pop());
  }

  redo() {
    this.actions.push(this.undone.pop());
  }

  // Returns how to show the drawing on a pad: a point is at (left + x * scale, top + y * scale), in CSS pixels.
  fit(width, height) {
    const box = { left: 0, top: 0, right: this.frame ?? width / height, bottom: 1 };
    for (const { points, width: pen, erases } of this.strokes) {
      for (const [x, y] of erases ? [] : points) {
        box.left = Math.min(box.left, x - pen / 2);
        box.top = Math.min(box.top, y - pen / 2);
        box.right = Math.max(box.right, x + pen / 2);
        box.bottom = Math.max(box.bottom, y + pen / 2);
      }
    }
    const [wide, high] = [box.right - box.left, box.bottom - box.top];
    const scale = Math.min(width / wide, height / high);
    return { scale, left: (width - wide * scale) / 2 - box.left * scale, top: (height - high * scale) / 2 - box.top * scale };
  }
}
