// A drawing as text for the address of the page, and back.
//
// The text is base64url of whole numbers, as zigzag varints: a version, the width of the drawing's frame, and for each
// stroke its width, whether it erases, the number of its points, and their differences, in units of 1/500 of the pad's height.

const VERSION = 1;
const UNIT = 500;
const MIN_STEP = 3; // points closer to the last one are left out, in the same units
const MAX_TEXT = 60_000;

function* varints(numbers) {
  for (const number of numbers) {
    let rest = number < 0 ? -2 * number - 1 : 2 * number;
    for (; rest >= 128; rest = Math.floor(rest / 128)) yield (rest % 128) + 128;
    yield rest;
  }
}

function* numbersOf(bytes) {
  let [number, weight] = [0, 1];
  for (const byte of bytes) {
    number += (byte % 128) * weight;
    weight *= 128;
    if (byte >= 128) continue;
    yield number % 2 ? -(number + 1) / 2 : number / 2;
    [number, weight] = [0, 1];
  }
}

function thinned(points) {
  const kept = [];
  points.forEach((point, index) => {
    const [x, y] = point.map((each) => Math.round(each * UNIT));
    const last = kept.at(-1);
    const far = !last || Math.hypot(x - last[0], y - last[1]) >= MIN_STEP;
    if (far || index === points.length - 1) kept.push([x, y]);
  });
  return kept;
}

// Returns strokes {points, width, erases} on a pad that is `frame` wide and 1 high as text; null if that is too long.
export function encode(frame, strokes) {
  const numbers = [VERSION, Math.round(frame * UNIT)];
  for (const { points, width, erases } of strokes) {
    const kept = thinned(points);
    numbers.push(Math.round(width * UNIT), Number(erases), kept.length);
    let [left, top] = [0, 0];
    for (const [x, y] of kept) {
      numbers.push(x - left, y - top);
      [left, top] = [x, y];
    }
  }
  const text = btoa(String.fromCharCode(...varints(numbers)));
  return text.length > MAX_TEXT ? null : text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// Returns {frame, strokes} of a text; null if it is not one of a drawing.
export function decode(text) {
  if (text.length > MAX_TEXT || !/^[\w-]+$/.test(text)) return null;
  let bytes;
  try {
    bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
  const [version, frame, ...rest] = numbersOf(bytes);
  if (version !== VERSION || !(frame > 0)) return null;
  const strokes = [];
  for (let place = 0; place < rest.length; ) {
    const [width, erases, count] = rest.slice(place, place + 3);
    const points = [];
    let [x, y] = [0, 0];
    place += 3;
    if (!(width > 0 && count > 0 && place + 2 * count <= rest.length)) return null;
    for (const end = place + 2 * count; place < end; place += 2) {
      [x, y] = [x + rest[place], y + rest[place + 1]];
      points.push([x / UNIT, y / UNIT]);
    }
    strokes.push({ points, width: width / UNIT, erases: erases === 1 });
  }
  return strokes.length ? { frame: frame / UNIT, strokes } : null;
}
