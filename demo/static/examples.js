// Examples: numbers that the pad draws by itself.

const HIGH = 0.62; // height of an example, as a fraction of the pad's
const WIDE = 0.88;
const UNITS = 10; // height of an example's strokes, as they are written in the page

// Returns the strokes of an example's button, centred on a pad that is `frame` wide and 1 high.
export function exampleStrokes(button, frame, pen) {
  const lines = [...button.querySelectorAll("polyline")].map((line) =>
    line.getAttribute("points").split(" ").map((point) => point.split(",").map(Number)),
  );
  const right = Math.max(...lines.flat().map(([x]) => x));
  const scale = Math.min(HIGH / UNITS, (WIDE * frame) / right);
  const [left, top] = [(frame - right * scale) / 2, (1 - UNITS * scale) / 2];
  return lines.map((points) => ({
    points: points.map(([x, y]) => [left + x * scale, top + y * scale]),
    width: pen,
    erases: false,
  }));
}

// Calls `show` with longer and longer parts of the strokes, one a frame, while it returns true.
export async function replay(strokes, show) {
  for (let done = 0; done < strokes.length; done++) {
    for (let length = 1; length <= strokes[done].points.length; length++) {
      const stroke = { ...strokes[done], points: strokes[done].points.slice(0, length) };
      if (!show([...strokes.slice(0, done), stroke])) return;
      await new Promise(requestAnimationFrame);
    }
  }
}
