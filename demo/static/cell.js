// One value of a layer: the ink that it depends on, and the sum that it is.

import { colour } from "./maps.js";

const SIDE = 28;

// Returns a number with two decimals, and a true minus.
export function say(number) {
  const digits = Math.abs(number) >= 1000 ? 0 : Math.abs(number) >= 100 ? 1 : 2;
  const text = Math.abs(number).toFixed(digits);
  return number < 0 && Number(text) !== 0 ? `−${text}` : text;
}

// Returns an element with this class and these children.
export function make(tag, name, ...children) {
  const made = document.createElement(tag);
  made.className = name;
  made.append(...children);
  return made;
}

// Returns a square of numbers as coloured cells. `shade` gives the colour of a number; null is outside.
function square(rows, shade) {
  const side = rows.length;
  const cells = rows.flat().map((value) => {
    const cell = make("i", "", side <= 5 && value !== null ? say(value) : "");
    const background = value === null ? "transparent" : shade(value);
    cell.style.background = background;
    cell.classList.toggle("bright", isBright(background));
    return cell;
  });
  const grid = make("span", side <= 5 ? "square numbered" : "square", ...cells);
  grid.style.setProperty("--side", side);
  return grid;
}

function isBright(background) {
  const [red, green, blue] = background.match(/\d+/g) ?? [0, 0, 0];
  return 0.3 * red + 0.6 * green + 0.1 * blue > 135;
}

function labelled(content, ...label) {
  return make("span", "part", content, make("small", "", ...label));
}

function operator(sign) {
  return make("b", "operator", sign);
}

// Returns the ink with the part on which a value depends.
function inkPart(ink, [left, top, right, bottom]) {
  const canvas = make("canvas", "ink-part");
  canvas.width = canvas.height = SIDE * 4;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.globalAlpha = 0.3;
  context.drawImage(ink, 0, 0, SIDE * 4, SIDE * 4);
  context.globalAlpha = 1;
  const [x, y, width, height] = [left, top, right - left, bottom - top];
  if (width > 0 && height > 0) {
    context.drawImage(ink, x, y, width, height, x * 4, y * 4, width * 4, height * 4);
    context.strokeStyle = "#ffb066";
    context.lineWidth = 2;
    context.strokeRect(x * 4 + 1, y * 4 + 1, width * 4 - 2, height * 4 - 2);
  }
  return labelled(canvas, "ink it sees");
}

function shadeOf(term, layers, [paper, full]) {
  if (term.layer >= 0) return (value) => colour(value / layers[term.layer].scale);
  return (value) => {
    const grey = Math.round(30 + (225 * (value - paper)) / (full - paper || 1));
    return `rgb(${grey} ${grey} ${grey})`;
  };
}

function sourceName(term, layers) {
  if (term.layer < 0) return "ink";
  return layers[term.layer].shape[0] > 1 ? `${layers[term.layer].title}, map ${term.channel + 1}` : layers[term.layer].title;
}

function product(term, layers, range) {
  const largest = Math.max(...term.weights.flat().map(Math.abs)) || 1;
  const single = term.side === 1;
  const patch = square(term.patch, shadeOf(term, layers, range));
  const kernel = square(term.weights, (value) => colour(value / largest));
  return make(
    "span",
    "product",
    labelled(patch, sourceName(term, layers)),
    operator("×"),
    labelled(kernel, single ? "weight" : "kernel"),
    operator("="),
    make("b", "figure", say(term.value)),
  );
}

const RULES = {
  maximum: "the largest of",
  mean: "the mean of",
  concatenation: "a copy of",
  ensemble: "the mean of all networks; this one gives",
};

// Returns the parts of the sum that a value is.
function parts(cell, layer, layers, range) {
  const terms = cell.terms;
  if (!terms.some(({ weights }) => weights)) {
    const rule = layer.kind in RULES ? [make("span", "rule", RULES[layer.kind])] : [];
    const shown = terms.map((term) => labelled(square(term.patch, shadeOf(term, layers, range)), sourceName(term, layers)));
    return [...rule, ...shown.flatMap((part, index) => (index ? [operator("+"), part] : [part]))];
  }
  const products = terms.flatMap((term, index) => {
    const shown = product(term, layers, range);
    return index ? [operator("+"), shown] : [shown];
  });
  const [others, sum] = cell.others;
  if (others) products.push(operator("+"), labelled(make("b", "figure", say(sum)), `${others} more maps`));
  products.push(operator("+"), labelled(make("b", "figure", say(cell.bias)), "bias"));
  return products;
}

function total(cell) {
  const sum = cell.terms.reduce((all, { value }) => all + value, cell.others[1] + cell.bias);
  const steps = cell.stages.map(([name, value]) =>
    make("span", "product", make("span", "rule", name), operator("→"), make("b", "figure", say(value))),
  );
  const first = cell.stages.length ? [operator("="), make("b", "figure", say(sum))] : [operator("="), make("b", "figure", say(cell.value))];
  return [...first, ...steps];
}

// Returns how the probability of a digit is computed from all digits' logits: softmax.
function softmax(digit, { logits, probabilities, temperature }) {
  const powers = logits.slice(0, probabilities.length).map((logit) => Math.exp(logit / temperature));
  const sum = powers.reduce((all, power) => all + power);
  const figure = (text, label) => labelled(make("b", "figure", text), label);
  return make(
    "div",
    "sum softmax",
    figure(`${(100 * probabilities[digit]).toFixed(1)}%`, "probability (softmax)"),
    operator("="),
    figure(say(powers[digit]), `exp(${say(logits[digit])} ÷ temperature ${say(temperature)})`),
    operator("÷"),
    figure(say(sum), "sum over all ten digits"),
  );
}

// Fills an element with how a value is computed, and a button that calls `close`.
export function showCell(element, cell, answer, ink, close) {
  const { layers, ink: range } = answer;
  const [index, channel, row, column] = cell.place;
  const layer = layers[index];
  const [, height, width] = layer.shape;
  const last = index === layers.length - 1;
  const where = last
    ? channel < 10 ? `logit of ${channel}` : "logit of no digit"
    : `${layer.title}, map ${channel + 1}${height * width > 1 ? `, row ${row + 1}, column ${column + 1}` : ""}`;
  const button = make("button", "close", "×");
  button.type = "button";
  button.setAttribute("aria-label", "Close the calculation");
  button.addEventListener("click", close);
  element.replaceChildren(
    button,
    make("p", "where", make("b", "", last ? `The ${where}` : where), ` is ${say(cell.value)}`),
    make("div", "sum", inkPart(ink, cell.pixels), ...parts(cell, layer, layers, range), ...total(cell)),
    ...(last && channel < 10 ? [softmax(channel, answer)] : []),
  );
}
