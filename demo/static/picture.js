// The result as a picture: the drawing, the number, and what the network saw.

const [WIDE, HIGH, MARGIN] = [1200, 630, 48];
const FRAME = 112; // side of a digit as the network sees it
const FONT = '-apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif';

async function load(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

function fit(image, left, top, width, height) {
  const scale = Math.min(width / image.width, height / image.height);
  const [wide, high] = [image.width * scale, image.height * scale];
  return [left + (width - wide) / 2, top + (height - high) / 2, wide, high];
}

// Returns a canvas with the result of a tab, and its number as text.
export async function toImage(tab, pad) {
  const drawing = await load(pad ? pad.picture : tab.querySelector(".boxed img").src);
  const rows = [...tab.querySelectorAll(".number .read")].map((row) => row.textContent);
  const frames = await Promise.all([...tab.querySelectorAll(".card .frame img:first-child")].map(({ src }) => load(src)));
  const facts = [...tab.querySelectorAll(".number .facts > span")].map(({ textContent }) => textContent);
  const canvas = Object.assign(document.createElement("canvas"), { width: WIDE, height: HIGH });
  const context = canvas.getContext("2d");
  const text = (words, x, y, size, weight, colour, room) => {
    context.fillStyle = colour;
    context.font = `${weight} ${size}px ${FONT}`;
    context.fillText(words, x, y, room);
  };
  context.fillStyle = "#f6f4ef";
  context.fillRect(0, 0, WIDE, HIGH);
  const high = HIGH - FRAME - 4 * MARGIN;
  context.fillStyle = "white";
  context.beginPath();
  context.roundRect(MARGIN, MARGIN, 620, high, 16);
  context.fill();
  context.drawImage(drawing, ...fit(drawing, MARGIN + 12, MARGIN + 12, 596, high - 24));
  const left = MARGIN + 620 + MARGIN;
  const room = WIDE - left - MARGIN;
  context.font = `700 100px ${FONT}`;
  const widest = Math.max(...rows.map((row) => context.measureText(row).width));
  const size = Math.min(190, (100 * room) / widest, (high - 60) / rows.length);
  rows.forEach((row, index) => text(row, left, MARGIN + size * (index + 0.85), size, 700, "#1d1b18", room));
  text(facts.join("  ·  "), left, MARGIN + high - 12, 30, 500, "#6d675e", room);
  context.imageSmoothingEnabled = false;
  const shown = frames.slice(0, Math.floor((WIDE - 2 * MARGIN + 12) / (FRAME + 12)));
  shown.forEach((frame, index) => {
    context.drawImage(frame, MARGIN + index * (FRAME + 12), HIGH - FRAME - 2 * MARGIN, FRAME, FRAME);
  });
  text("What the network saw  ·  Digit Recognizer", MARGIN, HIGH - MARGIN, 22, 500, "#6d675e");
  return { canvas, text: rows.join(" ").replace(/[^\d .,-]/g, "") };
}
