// The axes of line plots: limits, scales, ticks, names.

const TICK = 11; // px, of texts at axes

/** What an axis is called, with its unit. */
function axisTitle(axis) {
  return axis.unit ? `${axis.title} (${axis.unit})` : axis.title;
}

/** [low, high]: the axis's own, or what holds all values, rounded outwards where it is linear. */
function limitsOf(axis, values, count) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value) || (axis.log && value <= 0)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) [low, high] = axis.log ? [0.1, 10] : [0, 1];
  if (axis.log) {
    const room = Math.max(1.05, (high / low) ** 0.04);
    return [axis.low ?? low / room, axis.high ?? high * room];
  }
  if (low === high) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) / 10, high + Math.abs(high) / 10];
  low = axis.low ?? low;
  high = axis.high ?? high;
  if (!(high > low)) high = low + 1;
  const [first, second] = ticks(low, high, count);
  const step = second - first;
  if (!(step > 0)) return [low, high];
  return [
    axis.low ?? Math.floor(low / step + 1e-9) * step,
    axis.high ?? Math.ceil(high / step - 1e-9) * step,
  ];
}

/** A function from numbers to pixels. */
function axisScale(axis, [low, high], from, to) {
  const at = axis.log ? Math.log : (value) => value;
  const span = at(high) - at(low);
  return (value) => from + ((at(value) - at(low)) / span) * (to - from);
}

/** [value, text] of each tick. whole: nothing between whole numbers. */
function ticksOf(axis, [low, high], count, whole = false) {
  let found = axis.log ? logTicks(low, high, count) : ticks(low, high, count);
  if (axis.log && found.length < 2) found = ticks(low, high, count).filter((each) => each > 0);
  if (whole && high - low >= 1) found = found.filter(Number.isInteger);
  const step = axis.log ? 0 : found[1] - found[0];
  return found.map((value) => [value, tickText(value, step)]);
}

/** `0.25`, `12k`, `1.5M`: to the places of the step, where there is one. */
function tickText(value, step) {
  const size = Math.abs(value);
  for (const [unit, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= Math.max(unit, 1e4)) return minus(`${Number((value / unit).toPrecision(4))}${letter}`);
  }
  if (size !== 0 && size < 1e-3) return minus(String(Number(value.toPrecision(3))));
  const places = step > 0 ? Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)) : 0;
  return minus(step > 0 ? value.toFixed(Math.min(places, 8)) : String(Number(value.toPrecision(6))));
}

/**
 * How names stand below an axis of this width: {texts, step, turn, room, left}. step: one of so
 * many is written; turn: degrees; room: pixels below; left: of the axis's start that the first takes.
 */
function namesBelow(names, width) {
  const slot = width / Math.max(1, names.length);
  const texts = names.map((name) => shortened(name, 22));
  const widest = texts.reduce((most, text) => Math.max(most, widthOf(text, TICK)), 0);
  if (widest <= Math.max(slot - 6, 26)) {
    const step = Math.max(1, Math.ceil((widest + 6) / slot));
    return { texts, step, turn: 0, room: 20, left: widest / 2 - slot / 2 };
  }
  const step = Math.max(1, Math.ceil(15 / slot));
  const reach = widest * Math.SQRT1_2;
  return { texts, step, turn: -45, room: reach + 20, left: reach - slot / 2 };
}

/** Faint lines across at the ticks of y, and their numbers. */
function drawRules(group, found, scale, left, right) {
  for (const [value, text] of found) {
    const y = scale(value);
    group.append(stroke(left, y, right, y, 0.12), label(text, left - 6, y + 4, { size: TICK, anchor: "end", opacity: 0.75 }));
  }
}

/** The line below, its ticks, and numbers or names. */
function drawBase(group, { left, right, bottom }, found, scale, below) {
  group.append(stroke(left, bottom, right, bottom, 0.5));
  for (const [value, text] of found) {
    const x = scale(value);
    const turned = below && below.turn;
    group.append(
      stroke(x, bottom, x, bottom + 4, 0.5),
      turned
        ? label(text, x + 3, bottom + 14, { size: TICK, anchor: "end", turn: below.turn, opacity: 0.75 })
        : label(text, x, bottom + 17, { size: TICK, anchor: "middle", opacity: 0.75 }),
    );
  }
}
