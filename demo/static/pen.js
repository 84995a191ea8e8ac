// The pen: turns the events of a mouse, pen or finger into strokes. Ink ends at the pad's edge.

const CONTROLS = "button, input, textarea, select, a, label, [role=tab]";

// Returns where the segment from `inside` to `outside` leaves a box of this size.
function exit([x, y], [outerX, outerY], width, height) {
  const share = Math.min(
    outerX < 0 ? x / (x - outerX) : outerX > width ? (width - x) / (outerX - x) : 1,
    outerY < 0 ? y / (y - outerY) : outerY > height ? (height - y) / (outerY - y) : 1,
  );
  return [x + share * (outerX - x), y + share * (outerY - y)];
}

// Reports the strokes on a canvas, with points in CSS pixels from its top left corner:
// begin(point, continues): a stroke begins; it continues the gesture that had left the pad, or is a new one.
// extend(points): it goes on. end(): the gesture ends.
export function watchPen(canvas, { begin, extend, end }) {
  let pointer = null;
  let last = null; // the last point of the gesture, inside or outside
  let down = false; // whether the pen is on the pad
  let drawn = false; // whether the gesture has a stroke

  function at(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  function isInside([x, y]) {
    return x >= 0 && y >= 0 && x <= canvas.clientWidth && y <= canvas.clientHeight;
  }

  function put(point) {
    begin(point, drawn);
    down = drawn = true;
  }

  function move(point) {
    const { clientWidth: width, clientHeight: height } = canvas;
    if (isInside(point)) {
      if (!down) put(last ? exit(point, last, width, height) : point);
      extend([point]);
    } else if (down) {
      extend([exit(last, point, width, height)]);
      down = false;
    }
    last = point;
  }

  function finish(event) {
    if (event.pointerId !== pointer) return;
    pointer = last = null;
    if (drawn) end();
    down = drawn = false;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button > 0) return;
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    last = at(event);
    put(last);
  });
  // A stroke may also begin beside the pad. A finger scrolls there.
  document.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button > 0 || event.pointerType === "touch") return;
    if (!canvas.offsetParent || event.target.closest(CONTROLS)) return;
    pointer = event.pointerId;
    last = at(event);
  });
  document.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    if (!event.buttons) return finish(event); // released outside the window
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) move(at(each));
  });
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, finish);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  document.addEventListener("selectstart", (event) => drawn && event.preventDefault());
}
