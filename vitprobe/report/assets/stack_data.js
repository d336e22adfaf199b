// One image of a stack: its numbers, its colours, what lies on it.

const HATCH = ["#e4e4e4", "#b5b5bb"]; // of blanks, on any paper
const MARK = "#2ee6ff";

/** An image's numbers and the limits of its colours; see report/kinds.py, Stack. */
async function stackImage(figure, at) {
  const held = [figure.values[at], figure.error && figure.error[at]];
  const [values, error] = await Promise.all(held.map(unpacked));
  const [rows, columns] = values.shape;
  return { at, rows, columns, values: values.data, error: error && error.data, limits: stackLimits(figure, values.data) };
}

function stackLimits(figure, values) {
  let least = Infinity;
  let most = -Infinity;
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  if (least > most) [least, most] = [0, 1]; // blanks alone
  if (figure.centred) {
    most = Math.max(Math.abs(least), Math.abs(most));
    least = -most;
  }
  const low = figure.limits[0] ?? least;
  const high = figure.limits[1] ?? most;
  return high > low ? [low, high] : [low, low + (Math.abs(low) || 1)];
}

/** Where a number lies between the limits, 0..1. */
function stackPlace(figure, [low, high]) {
  const part = (value) => (value - low) / (high - low);
  if (figure.scale === "root") return (value) => Math.sqrt(Math.max(0, part(value)));
  if (figure.scale === "log") return (value) => (value > 0 ? Math.log(value / low) / Math.log(high / low) : 0);
  return part;
}

/** What stands beside the colour bar: [number, text]. */
function stackTicks(figure, [low, high], count) {
  if (figure.scale === "root") {
    const words = [[0, shown(low)], [0.05, "5 %"], [0.25, "25 %"], [0.5, "50 %"], [1, "largest"]];
    return words.map(([part, text]) => [low + part * (high - low), text]);
  }
  const found = figure.scale === "log" ? logTicks(low, high, 2 * count) : ticks(low, high, count);
  return found.map((value) => [value, barNumber(value)]);
}

/** One pixel for each cell, or for every so-manieth; blanks are left out. */
function paintImage(figure, image, canvas, most = Infinity) {
  const step = Math.max(1, Math.ceil(Math.max(image.rows, image.columns) / most));
  const [rows, columns] = [Math.ceil(image.rows / step), Math.ceil(image.columns / step)];
  const colour = scaleOf(figure.centred ? "centred" : "rising");
  const place = stackPlace(figure, image.limits);
  const pixels = new ImageData(columns, rows);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const value = image.values[i * step * image.columns + j * step];
      if (Number.isFinite(value)) pixels.data.set([...colour(place(value)), 255], 4 * (i * columns + j));
    }
  }
  canvas.width = columns;
  canvas.height = rows;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** The colours with their numbers, at x, y. */
function stackBar(figure, limits, x, y, height) {
  const id = `stack-bar-${gradients++}`;
  const colour = scaleOf(figure.centred ? "centred" : "rising");
  const stops = Array.from({ length: 33 }, (_, k) =>
    draw("stop", { offset: k / 32, "stop-color": `rgb(${colour(k / 32).join(",")})` }),
  );
  const gradient = draw("linearGradient", { id, x1: 0, x2: 0, y1: 1, y2: 0 }, stops);
  const group = draw("g", {}, draw("defs", {}, gradient));
  const box = { x, y, width: 12, height, fill: `url(#${id})`, stroke: "currentColor" };
  group.append(draw("rect", { ...box, "stroke-opacity": 0.4, "stroke-width": 0.6 }));
  const place = stackPlace(figure, limits);
  let last = Infinity;
  for (const [value, text] of stackTicks(figure, limits, Math.max(2, Math.min(6, height / 50)))) {
    const at = y + height * (1 - place(value));
    if (last - at < 12) continue;
    last = at;
    group.append(stroke(x + 12, at, x + 15, at, 0.6));
    group.append(label(text, x + 18, at + 3.5, { size: 10.5 }));
  }
  const middle = [x + 66, y + height / 2];
  if (figure.unit) group.append(label(shortened(figure.unit, Math.floor(height / 6)), ...middle, { size: 11, anchor: "middle", turn: -90 }));
  return group;
}

/** Hatching over blanks, and the outlines, on an image of this size. */
function stackOver(figure, image, width, height) {
  const [w, h] = [width / image.columns, height / image.rows];
  const group = draw("g", {});
  const path = [];
  for (let i = 0; i < image.rows; i++) {
    for (let j = 0; j < image.columns; j++) {
      const start = j;
      while (j < image.columns && !Number.isFinite(image.values[i * image.columns + j])) j++;
      if (j > start) path.push(`M${start * w} ${i * h}h${(j - start) * w}v${h}h${(start - j) * w}z`);
    }
  }
  if (path.length) {
    const id = `stack-blank-${gradients++}`;
    const pattern = draw(
      "pattern",
      { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      draw("rect", { width: 6, height: 6, fill: HATCH[0] }),
      draw("rect", { width: 1.2, height: 6, fill: HATCH[1] }),
    );
    group.append(draw("defs", {}, pattern), draw("path", { d: path.join(""), fill: `url(#${id})` }));
  }
  for (const mark of figure.marks[image.at] || []) {
    for (const [colour, size, opacity] of [["#000", 3.2, 0.55], [MARK, 1.5, 1]]) {
      const line = { fill: "none", stroke: colour, "stroke-width": size, "stroke-opacity": opacity };
      if (mark.dashed) line["stroke-dasharray"] = "5 4";
      const [x, y, half, tall] = [mark.column * w, mark.row * h, (mark.width * w) / 2, (mark.height * h) / 2];
      group.append(
        mark.round
          ? draw("ellipse", { cx: x, cy: y, rx: half, ry: tall, ...line })
          : inset(x - half, y - tall, 2 * half, 2 * tall, line),
      );
    }
  }
  return group;
}

/** A rectangle whose outline is within it, so that it is whole at an image's edge. */
function inset(x, y, width, height, line, by = 1) {
  return draw("rect", { x: x + by, y: y + by, width: Math.max(1, width - 2 * by), height: Math.max(1, height - 2 * by), ...line });
}

/** How much of a picture's contrast is left below numbers of this opacity: their colours matter. */
function contrastBelow(opacity) {
  return 1 - 0.5 * Math.min(1, 2 * opacity);
}

/** The same for files: colours fade to greys about the middle. */
function fadedBelow(opacity) {
  const id = `stack-faded-${gradients++}`;
  const kept = contrastBelow(opacity);
  const grey = opacity > 0 ? 1 : 0;
  const row = (own) => [0.2126, 0.7152, 0.0722].map((part, k) => kept * (grey * part + (1 - grey) * (k === own ? 1 : 0)));
  const values = [0, 1, 2].map((own) => [...row(own), 0, 0.5 - 0.5 * kept].join(" "));
  const matrix = draw("feColorMatrix", { type: "matrix", values: `${values.join(" ")} 0 0 0 1 0` });
  return { id, filter: draw("filter", { id, "color-interpolation-filters": "sRGB" }, matrix) };
}
