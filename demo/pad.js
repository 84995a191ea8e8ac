// The pad stores strokes instead of pixels. It is sharp on any screen, keeps the drawing when it is resized,
// and can undo every step, including Clear. Gradio provides `element`, `props` and `trigger`.

const BRUSH = 0.05; // stroke width, as a fraction of the pad's height
const ERASER = 0.12;
const SENT = 480; // longer side of the sent picture, in pixels
const LIVE = 200; // minimum time between two sent pictures during a stroke, in milliseconds

const canvas = element.querySelector("canvas");
const button = (name) => element.querySelector(`[data-do=${name}]`);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let width = 0; // the pad's size, in CSS pixels
let height = 0;
let actions = []; // strokes {points: [[x, y]...], erases}, or "clear"
let undone = [];
let stroke = null; // the current stroke
let pointer = null;
let erasing = false;
let lastSent = 0;
let playing = 0; // number of the current replay; a change stops the running one
let painted = true;

function visible() {
  return actions.slice(actions.lastIndexOf("clear") + 1);
}

function trace(context, { points, erases }, colour) {
  context.globalCompositeOperation = erases ? "destination-out" : "source-over";
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = (erases ? ERASER : BRUSH) * height;
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
  context.lineTo(x + 0.01, y); // a tap draws a dot; a line of zero length would be invisible
  context.stroke();
}

function paint() {
  painted = true;
  const scale = canvas.width / width;
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const colour = getComputedStyle(canvas).color;
  const strokes = visible();
  for (const each of strokes) trace(context, each, colour);
  element.querySelector(".pad").classList.toggle("drawn", strokes.length > 0);
  button("undo").disabled = actions.length === 0;
  button("redo").disabled = undone.length === 0;
  button("clear").disabled = strokes.length === 0;
}

function repaint() {
  if (painted) requestAnimationFrame(paint);
  painted = false;
}

function picture() {
  // Black on white and of a fixed size, independent of the screen and its colours.
  const strokes = visible();
  if (strokes.length === 0) return null;
  const scale = SENT / Math.max(width, height);
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [width * scale, height * scale];
  const context = copy.getContext("2d");
  context.scale(scale, scale);
  for (const each of strokes) trace(context, each, "black");
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  return copy.toDataURL();
}

function send() {
  lastSent = performance.now();
  props.value = picture();
  trigger("input");
}

function sendWhileDrawing() {
  if (performance.now() - lastSent > LIVE) send();
}

function changed() {
  repaint();
  send();
}

function begin(point, erases) {
  undone = [];
  stroke = { points: [point], erases };
  actions.push(stroke);
  repaint();
}

function end() {
  stroke = pointer = null;
  changed();
}

const steps = {
  undo() {
    undone.push(actions.pop());
    changed();
  },
  redo() {
    actions.push(undone.pop());
    changed();
  },
  clear() {
    actions.push("clear");
    undone = [];
    erase(false);
    changed();
  },
  erase() {
    erase(!erasing);
  },
};

function erase(on) {
  erasing = on;
  button("erase").setAttribute("aria-pressed", on);
  canvas.classList.toggle("erasing", on);
}

function act(name) {
  playing++;
  if (stroke === null && !button(name).disabled) steps[name]();
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

canvas.addEventListener("pointerdown", (event) => {
  if (pointer !== null || event.button > 0) return;
  playing++;
  pointer = event.pointerId;
  canvas.setPointerCapture(pointer);
  begin(at(event), erasing);
});
canvas.addEventListener("pointermove", (event) => {
  if (event.pointerId !== pointer) return;
  const events = event.getCoalescedEvents?.() ?? [];
  stroke.points.push(...(events.length ? events : [event]).map(at));
  repaint();
  sendWhileDrawing();
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    if (event.pointerId === pointer) end();
  });
}
canvas.addEventListener("contextmenu", (event) => event.preventDefault());

element.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (pressed?.dataset.do) act(pressed.dataset.do);
  if (pressed?.dataset.example) play(props.examples[pressed.dataset.example]);
});

document.addEventListener("keydown", (event) => {
  if (!canvas.offsetParent || event.target.closest("input, textarea, select, [contenteditable]")) return;
  const control = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  const name =
    control && key === "z" ? (event.shiftKey ? "redo" : "undo")
    : control && key === "y" ? "redo"
    : control || event.altKey ? null
    : key === "delete" || key === "escape" ? "clear"
    : key === "e" && element.contains(event.target) ? "erase"
    : null;
  if (name === null) return;
  event.preventDefault();
  act(name);
});

function fitted({ strokes, width: wide }) {
  // Centres an example's strokes, ten units high, on the pad.
  const scale = Math.min((0.62 * height) / 10, (0.88 * width) / wide);
  const left = (width - (wide - 2) * scale) / 2;
  const top = (height - 10 * scale) / 2;
  return strokes.map((points) =>
    points.split(" ").map((point) => {
      const [x, y] = point.split(",").map(Number);
      return [left + x * scale, top + y * scale];
    }),
  );
}

async function play(example) {
  if (stroke !== null) return;
  const mine = ++playing;
  erase(false);
  if (visible().length) actions.push("clear");
  for (const points of fitted(example)) {
    const drawn = { points: [points[0]], erases: false };
    undone = [];
    actions.push(drawn);
    for (const point of points.slice(1)) {
      drawn.points.push(point);
      if (calm.matches) continue;
      repaint();
      sendWhileDrawing();
      await new Promise(requestAnimationFrame);
      if (mine !== playing) return changed();
    }
  }
  changed();
}

new ResizeObserver(() => {
  const { clientWidth, clientHeight } = canvas;
  if (!clientWidth) return; // hidden by another tab
  if (width) {
    const scale = Math.min(clientWidth / width, clientHeight / height);
    for (const { points = [] } of actions.concat(undone)) {
      for (const point of points) point.splice(0, 2, point[0] * scale, point[1] * scale);
    }
  }
  [width, height] = [clientWidth, clientHeight];
  [canvas.width, canvas.height] = [width * devicePixelRatio, height * devicePixelRatio].map(Math.round);
  repaint();
}).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
