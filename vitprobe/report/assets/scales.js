// Colours of numbers.

const held_scales = new Map();

/** A function of a number in 0..1, beyond them the end's colour: [red, green, blue]. */
function scaleOf(name) {
  if (!held_scales.has(name)) {
    const colours = held.colours[name].map((hex) =>
      [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)),
    );
    held_scales.set(name, (t) => colours[Math.max(0, Math.min(255, Math.floor(t * 256)))]);
  }
  return held_scales.get(name);
}

let gradients = 0;

/** An upright colour bar with numbers at its right: an SVG group; limits: [low, high]. */
function colourBar(x, y, height, name, limits, title, turned = false) {
  const id = `scale-${gradients++}`;
  const scale = scaleOf(name);
  const stops = Array.from({ length: 33 }, (_, k) =>
    draw("stop", {
      offset: k / 32,
      "stop-color": `rgb(${scale(turned ? 1 - k / 32 : k / 32).join(",")})`,
    }),
  );
  const gradient = draw("linearGradient", { id, x1: 0, x2: 0, y1: 1, y2: 0 }, stops);
  const group = draw("g", {}, draw("defs", {}, gradient));
  const box = { x, y, width: 12, height, stroke: "currentColor", "stroke-opacity": 0.4 };
  group.append(draw("rect", { ...box, fill: `url(#${id})`, "stroke-width": 0.6 }));
  const [low, high] = limits;
  for (const value of ticks(low, high, Math.max(2, Math.min(5, height / 40)))) {
    const at = y + height * (1 - (value - low) / (high - low || 1));
    group.append(stroke(x + 12, at, x + 15, at, 0.6));
    group.append(label(barNumber(value), x + 18, at + 3.5, { size: 10.5 }));
  }
  if (title) group.append(label(title, x + 46, y + height / 2, { size: 11, anchor: "middle", turn: -90 }));
  return group;
}

function barNumber(value) {
  return minus(String(Number(value.toPrecision(6))));
}
