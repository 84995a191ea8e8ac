// Ink: strokes as pixels, on the screen or in the picture that is sent.

const LONGER_SIDE = 480; // of the sent picture, in pixels
export const MARGIN = 0.04; // around the pad in the sent picture, as a fraction of the pad's longer side

function trace(context, { points, width, erases }) {
  context.globalCompositeOperation = erases ? "destination-out" : "source-over";
  context.lineWidth = width;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(...points[0]);
  // Quadratic curves through the midpoints smooth the corners between pointer events.
  for (let i = 1; i < points.length - 1; i++) {
    const [x, y] = points[i];
    const [nextX, nextY] = points[i + 1];
    context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  const [x, y] = points[points.length - 1];
  context.lineTo(x + 0.0001, y); // a tap draws a dot; a line of zero length would be invisible
  context.stroke();
}

// Draws strokes on an empty canvas. `view` says where (`Drawing.fit`), `ratio` is the number of its pixels per unit of
// the view.
export function paint(canvas, strokes, view, ratio, colour) {
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  const scale = view.scale * ratio;
  context.setTransform(scale, 0, 0, scale, view.left * ratio, view.top * ratio);
  context.strokeStyle = colour;
  for (const stroke of strokes) trace(context, stroke);
  return context;
}

// Returns the pad as a PNG, a data URL: black on white and of a fixed size, independent of the screen and its colours.
// White around the pad separates ink at its edge from the picture's edge.
export function toPicture(strokes, view, width, height) {
  const margin = MARGIN * Math.max(width, height);
  const ratio = LONGER_SIDE / (Math.max(width, height) + 2 * margin);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height].map((side) => Math.round((side + 2 * margin) * ratio));
  const shifted = { ...view, left: view.left + margin, top: view.top + margin };
  const context = paint(canvas, strokes, shifted, ratio, "black");
  context.globalCompositeOperation = "destination-over";
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas.toDataURL();
}

// Returns whether a canvas has no visible ink.
export function isBlank(canvas) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 3; i < data.length; i += 4) if (data[i] > 64) return false;
  return true;
}
