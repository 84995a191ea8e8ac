// Take away: a link to the drawing, the result as a picture, and the visitor's digits as files.

import { decode, encode } from "./link.js";
import { toImage } from "./picture.js";

const FRAGMENT = "#drawing=";
const STORED = "digits";
const MAX_DIGITS = 1000;

function padOf(tab) {
  return tab.querySelector(".paper canvas")?.pad;
}

// Draws what the address of the page contains, once there is a pad.
export function openLink(tab) {
  const text = location.hash.startsWith(FRAGMENT) ? location.hash.slice(FRAGMENT.length) : "";
  const drawing = decode(text);
  history.replaceState(null, "", location.pathname + location.search); // a reload keeps what is drawn from here on
  const draw = () => {
    const pad = padOf(tab);
    if (!pad?.height) return requestAnimationFrame(draw);
    pad.drawing.add(drawing.frame, drawing.strokes, !pad.drawing.empty);
    pad.refit();
    pad.report();
  };
  if (drawing) draw();
}

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED)) ?? [];
  } catch {
    return [];
  }
}

function keep(digits) {
  try {
    sessionStorage.setItem(STORED, JSON.stringify(digits));
    return true;
  } catch {
    return false;
  }
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// The digits of the cards with the number that the visitor has typed, or else that which was read.
function labelled(tab) {
  const cards = [...tab.querySelectorAll(".card")];
  const typed = (tab.querySelector(".correction input, .correction textarea")?.value ?? "").replace(/\D/g, "");
  const labels = typed.length === cards.length ? [...typed] : cards.map((card) => card.querySelector(".said b").textContent);
  return cards.map((card, index) => [labels[index], card.querySelector("img").src]);
}

async function download(kind) {
  const digits = kept();
  const response = await fetch(new URL("gradio_api/run/digits", document.baseURI), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ data: [digits.map(([, frame]) => frame), digits.map(([label]) => Number(label)), kind] }),
  });
  if (!response.ok) throw new Error("The server did not answer.");
  const bytes = Uint8Array.from(atob((await response.json()).data[0]), (letter) => letter.charCodeAt(0));
  save(new Blob([bytes]), kind === "csv" ? "digits.csv" : "digits.zip");
}

const acts = {
  async link(tab) {
    const { frame, strokes } = padOf(tab).drawing;
    const text = encode(frame, strokes);
    if (!text) throw new Error("The drawing is too long for a link. Save it as a picture.");
    const fragment = FRAGMENT + text;
    try {
      await navigator.clipboard.writeText(location.href.split("#")[0] + fragment);
      return "Link copied. It opens with this drawing.";
    } catch {
      location.hash = fragment; // without https there is no clipboard
      return "The link is in the address bar. It opens with this drawing.";
    }
  },
  async save(tab) {
    const { canvas, text } = await toImage(tab, padOf(tab));
    save(await new Promise((done) => canvas.toBlob(done)), `${text || "number"}.png`);
    return "Picture saved.";
  },
  async copy(tab) {
    const { canvas } = await toImage(tab, padOf(tab));
    const image = await new Promise((done) => canvas.toBlob(done));
    await navigator.clipboard.write([new ClipboardItem({ "image/png": image })]);
    return "Picture copied.";
  },
  async keep(tab) {
    const known = new Map(kept().map(([label, frame]) => [frame, label]));
    const found = labelled(tab);
    if (found.some(([label]) => !/^\d$/.test(label))) return "Not sure about every digit: type the number first, or write more clearly.";
    for (const [label, frame] of found) known.set(frame, label);
    if (known.size > MAX_DIGITS) return `There are ${MAX_DIGITS} digits already: download them first.`;
    return keep([...known].map(([frame, label]) => [label, frame])) ? "" : "This browser keeps nothing.";
  },
  async csv() {
    await download("csv");
    return "";
  },
  async png() {
    await download("png");
    return "";
  },
};

// Does what a pressed button says, and says what came of it.
export async function take(tab, element, name) {
  const status = element.querySelector("[role=status]");
  try {
    status.textContent = await acts[name](tab);
  } catch (error) {
    status.textContent = `That did not work: ${error.message}`;
  }
  showKept(element);
}

export function showKept(element) {
  const count = kept().length;
  element.querySelector(".kept").hidden = count === 0;
  element.querySelector(".kept span").textContent = `${count} ${count === 1 ? "digit" : "digits"} kept:`;
}
