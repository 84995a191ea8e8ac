// Links: lines from a value to the values that it is computed from.

const NAMESPACE = "http://www.w3.org/2000/svg";

function add(overlay, tag, attributes) {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  overlay.append(made);
}

function outline(overlay, box, name) {
  const pad = 1.5;
  add(overlay, "rect", {
    class: name,
    x: box.left - pad,
    y: box.top - pad,
    width: box.width + 2 * pad,
    height: box.height + 2 * pad,
    rx: 2,
  });
}

// Draws the links of a value, or none for null, over a panel's layers.
export function links(overlay, cell, panel) {
  overlay.replaceChildren();
  if (!cell) return;
  const origin = panel.flow.getBoundingClientRect();

  function place(element, box) {
    const { left, top } = element.getBoundingClientRect();
    return { ...box, left: box.left + left - origin.left, top: box.top + top - origin.top };
  }

  function boxOf(layer, channel, row, column, side) {
    if (layer < 0) {
      const unit = panel.ink.clientWidth / panel.ink.width;
      const scale = 28 / panel.answer.size;
      const [left, top] = [column, row].map((each) => Math.max(0, each * scale * unit));
      return place(panel.ink, { left, top, width: side * scale * unit, height: side * scale * unit });
    }
    const sheet = panel.sheets[layer];
    if (!sheet) {
      const bar = panel.logits.children[channel].firstChild;
      return place(bar, { left: 0, top: 0, width: bar.clientWidth, height: bar.clientHeight });
    }
    const box = sheet.box(channel, row, column, side);
    return box && place(sheet.canvas, box);
  }

  const [layer, channel, row, column] = cell.place;
  const target = boxOf(layer, channel, row, column, 1);
  if (!target) return;
  const largest = Math.max(...cell.terms.map(({ value }) => Math.abs(value))) || 1;
  for (const term of cell.terms) {
    const source = boxOf(term.layer, term.channel, term.row, term.column, term.side);
    if (!source) continue;
    const sign = term.value < 0 ? "below" : "above";
    const [startX, startY] = [source.left + source.width / 2, source.top + source.height];
    const [endX, endY] = [target.left + target.width / 2, target.top];
    const bend = (endY - startY) / 2;
    add(overlay, "path", {
      class: sign,
      d: `M${startX} ${startY}C${startX} ${startY + bend} ${endX} ${endY - bend} ${endX} ${endY}`,
      "stroke-width": 1 + (2 * Math.abs(term.value)) / largest,
    });
    if (term.layer >= 0) outline(overlay, source, sign); // the panel marks the ink
  }
  outline(overlay, target, "target");
}
