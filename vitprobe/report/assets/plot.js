// A line plot as one drawing: bands, lines, dots, levels, and where every point came to stand.

const FADED = 0.14; // what is not picked
const MOST_DOTS = 48; // points of a line that have a dot each
const ORDERED = ["#3f7fd6", "#3aa6b9", "#2b9c63", "#a8892c", "#e0730a", "#c9478e"]; // of an order

/** `share` of the way through the colours of an order. */
function stepColour(share) {
  const at = Math.min(Math.max(share, 0), 1) * (ORDERED.length - 1);
  const k = Math.min(Math.floor(at), ORDERED.length - 2);
  const part = (colour, i) => parseInt(colour.slice(1 + 2 * i, 3 + 2 * i), 16);
  const mixed = [0, 1, 2].map((i) => Math.round(part(ORDERED[k], i) + (at - k) * (part(ORDERED[k + 1], i) - part(ORDERED[k], i))));
  return `rgb(${mixed.join(",")})`;
}

/** The series as they are drawn: x, colour, the ends of each point's band. Blanks are NaN. */
function preparedSeries(figure) {
  const titles = [...new Set(figure.series.map((each) => each.name))];
  const places = figure.series.map((each) => each.colour ?? titles.indexOf(each.name));
  const last = Math.max(1, ...places);
  return figure.series.map((each, number) => {
    const y = Array.from(each.y, blankless);
    const times = Number.isFinite(each.interval) ? each.interval : 1;
    const error = each.error ? Array.from(each.error, blankless) : null;
    const end = (given, sign) => {
      if (given) return Array.from(given, blankless);
      return error ? y.map((value, i) => value + sign * times * error[i]) : null;
    };
    return {
      ...each,
      number,
      y,
      x: each.x ? Array.from(each.x, blankless) : y.map((_, i) => i),
      error,
      low: end(each.low, -1),
      high: end(each.high, 1),
      known: Boolean(each.error) && Number.isFinite(each.interval),
      colour: figure.ordered ? stepColour(places[number] / last) : colourOf(places[number]),
      title: titleIn(figure, each),
    };
  });
}

/** What a series is called: by its group alone where all that are picked from have one name. */
function titleIn(figure, each) {
  if (!each.group || !figure.picks) return each.name;
  const alike = figure.series.every((other) => !other.group || other.name === each.name);
  return alike ? `${figure.picks} ${each.group}` : `${each.name}, ${figure.picks} ${each.group}`;
}

function blankless(value) {
  return value === null ? NaN : value;
}

/** Numbers of points in a row that have a value. */
function unbroken(good) {
  const runs = [];
  good.forEach((each, i) => {
    if (!each) return;
    if (i && good[i - 1]) runs[runs.length - 1].push(i);
    else runs.push([i]);
  });
  return runs;
}

/**
 * {svg, points, marks}: points are {series, i, x, y} in pixels; marks is an empty group on top.
 *
 * series: those that are shown. picked: the group that stands out; null: none.
 */
function plotted(figure, series, picked, width) {
  const { x: xAxis, y: yAxis } = figure;
  const plain = Math.round(Math.min(300, Math.max(210, width * 0.46)));
  const levels = figure.levels ?? [];
  const ends = (each) => [...each.y, ...(each.low ?? []), ...(each.high ?? [])];
  const yLimits = limitsOf(yAxis, [...series.flatMap(ends), ...levels.map((each) => each.y)], plain / 38);
  const yTicks = ticksOf(yAxis, yLimits, plain / (yAxis.log ? 28 : 38));
  const digits = Math.max(...yTicks.map(([, text]) => widthOf(text, TICK)), 10);
  const right = width - 10;
  let left = Math.ceil(digits + 12);
  const below = xAxis.names && namesBelow(xAxis.names, right - left);
  if (below && below.left > left) left = Math.min(Math.ceil(below.left), width / 3);
  const top = 26;
  const bottom = top + plain;
  const height = Math.ceil(bottom + (below ? below.room : 22) + (xAxis.title ? 18 : 2));
  const inner = xAxis.names ? 0 : 8;
  const all = series.flatMap((each) => each.x);
  const xLimits = xAxis.names ? [-0.5, xAxis.names.length - 0.5] : limitsInside(xAxis, all);
  const atX = axisScale(xAxis, xLimits, left + inner, right - inner);
  const atY = axisScale(yAxis, yLimits, bottom, top);
  const there = (value) => Number.isFinite(value) && !(yAxis.log && value <= 0);

  const svg = drawing(width, height);
  svg.append(label(shortened(axisTitle(yAxis), Math.floor(width / 6.5)), 2, 12, { size: 12, opacity: 0.75 }));
  drawRules(svg, yTicks, atY, left, right);
  const whole = all.every((value) => !Number.isFinite(value) || Number.isInteger(value));
  const xTicks = below
    ? below.texts.map((text, k) => [k, text]).filter(([k]) => k % below.step === 0)
    : ticksOf(xAxis, xLimits, (right - left) / 70, whole);
  drawBase(svg, { left, right, bottom }, xTicks, atX, below);
  const xTitle = shortened(axisTitle(xAxis), Math.floor(width / 6.5));
  svg.append(label(xTitle, (left + right) / 2, height - 5, { anchor: "middle", opacity: 0.75 }));

  const kept = (value) => Math.min(Math.max(atY(value), top - 4), bottom + 4);
  const end = (value) => (there(value) ? kept(value) : value <= 0 ? bottom : NaN);
  for (const each of levels) {
    if (!there(each.y)) continue;
    const y = kept(each.y);
    svg.append(stroke(left, y, right, y, 0.6, { "stroke-dasharray": "2 3" }));
  }
  const points = [];
  for (const each of pickedLast(series, picked)) {
    const chosen = picked !== null && each.group === picked;
    const faded = picked !== null && each.group && !chosen;
    const strength = faded ? FADED : picked !== null && !chosen ? 0.5 : null;
    const group = draw("g", { opacity: strength, color: each.colour });
    const good = each.y.map((value, i) => there(value) && Number.isFinite(each.x[i]));
    const xs = each.x.map(atX);
    const ys = each.y.map(kept);
    const joined = each.line || chosen;
    const runs = unbroken(good);
    if (each.low) group.append(...spreads(each, runs, xs, end, joined));
    if (joined) {
      const path = runs.map((run) => `M${run.map((i) => xy(xs[i], ys[i])).join("L")}`).join("");
      group.append(
        draw("path", {
          d: path,
          fill: "none",
          stroke: "currentColor",
          "stroke-width": chosen ? 2.4 : 1.7,
          "stroke-linejoin": "round",
          "stroke-linecap": "round",
          "stroke-dasharray": each.dashed ? "6 4" : null,
        }),
      );
    }
    const count = good.filter(Boolean).length;
    const alone = new Set(runs.filter((run) => run.length === 1).map((run) => run[0]));
    good.forEach((known, i) => {
      if (!known) return;
      if (!faded) points.push({ series: each, i, x: xs[i], y: ys[i] });
      const dotted = joined ? (count <= MOST_DOTS && !each.dashed) || alone.has(i) : true;
      if (dotted) group.append(draw("circle", { cx: hundredths(xs[i]), cy: hundredths(ys[i]), r: joined ? 2.3 : 3, fill: "currentColor", "fill-opacity": joined ? null : 0.75 }));
    });
    svg.append(group);
  }
  for (const each of levels.filter((one) => there(one.y))) {
    svg.append(levelName(shortened(each.name, 40), kept(each.y), { left, right, top, bottom }, points));
  }
  const marks = draw("g", {});
  svg.append(marks);
  return { svg, points, marks, top, bottom };
}

/** A level's name at that end of it, and on that side, where the fewest points are. */
function levelName(name, level, { left, right, top, bottom }, points) {
  const wide = widthOf(name, TICK);
  const places = [level - 4, level + 13]
    .filter((y) => y - 8 > top - 12 && y < bottom + 8)
    .flatMap((y) => [[right - wide, y], [left + 4, y]]);
  const met = ([x, y]) => points.filter((each) => each.x > x - 4 && each.x < x + wide + 4 && each.y > y - 13 && each.y < y + 5).length;
  const [x, y] = places.reduce((best, each) => (met(each) < met(best) ? each : best));
  const text = label(name, x, y, { size: TICK });
  text.setAttribute("class", "halo");
  return text;
}

/** Of x: never rounded, a line fills the width. */
function limitsInside(axis, values) {
  const known = values.filter((value) => Number.isFinite(value) && !(axis.log && value <= 0));
  const least = known.reduce((a, b) => Math.min(a, b), Infinity);
  const most = known.reduce((a, b) => Math.max(a, b), -Infinity);
  const low = axis.low ?? least;
  const high = axis.high ?? most;
  return high > low ? [low, high] : limitsOf(axis, values, 5);
}

/** What is picked lies on top. */
function pickedLast(series, picked) {
  const last = (each) => Number(picked !== null && each.group === picked);
  return [...series].sort((a, b) => last(a) - last(b) || a.number - b.number);
}

function hundredths(value) {
  return Math.round(value * 100) / 100;
}

function xy(x, y) {
  return `${hundredths(x)},${hundredths(y)}`;
}

/** Bands along lines; bars at dots, and at points that stand alone. */
function spreads(each, runs, xs, end, joined) {
  const lows = each.low.map((value) => end(value));
  const highs = each.high.map((value) => end(value));
  const found = [];
  for (const run of runs) {
    const known = run.filter((i) => Number.isFinite(lows[i]) && Number.isFinite(highs[i]));
    if (joined && known.length > 1) {
      const there = known.map((i) => xy(xs[i], highs[i]));
      const back = known.map((i) => xy(xs[i], lows[i])).reverse();
      found.push(draw("path", { d: `M${[...there, ...back].join("L")}Z`, fill: "currentColor", "fill-opacity": 0.16, stroke: "none" }));
      continue;
    }
    for (const i of known) found.push(stroke(hundredths(xs[i]), hundredths(lows[i]), hundredths(xs[i]), hundredths(highs[i]), 0.7, { "stroke-width": 1.4 }));
  }
  return found;
}

/** What bands and bars are, in words; "": there are none. */
function bandWords(figure, series) {
  const found = new Map();
  for (const each of series.filter((one) => one.low && one.low.some(Number.isFinite))) {
    const words = each.error ? (each.known ? "95 % intervals" : "± one standard error") : figure.band || "ranges";
    found.set(words, (found.get(words) ?? new Set()).add(each.line ? "bands" : "bars"));
  }
  return [...found].map(([words, marks]) => `${[...marks].join(" and ")}: ${words}`).join("; ");
}

/** A piece of line, dashed or not, or a dot, in the series' colour, where its name has but one. */
function swatch(each, x = 0, y = 7) {
  const colour = each.shared ? "currentColor" : each.colour;
  return each.line
    ? draw("line", { x1: x, y1: y, x2: x + 20, y2: y, stroke: colour, "stroke-width": 2.4, "stroke-dasharray": each.dashed ? "6 4" : null })
    : draw("circle", { cx: x + 10, cy: y, r: 4, fill: colour });
}

/** Rows of swatches and names below a plot, for files. */
function withLegend(svg, series, words) {
  const { width, height } = svg.viewBox.baseVal;
  let [x, y] = [8, height + 8];
  for (const each of series) {
    const name = shortened(each.name, 60);
    const wide = 40 + widthOf(name);
    if (x > 8 && x + wide > width) [x, y] = [8, y + 18];
    svg.append(swatch(each, x, y), label(name, x + 26, y + 4));
    x += wide;
  }
  if (words) {
    if (series.length) y += 18;
    svg.append(label(words, 8, y + 4, { size: TICK, opacity: 0.75 }));
  }
  const tall = series.length || words ? y + 14 : height;
  svg.setAttribute("viewBox", `0 0 ${width} ${tall}`);
  svg.setAttribute("height", tall);
  return svg;
}
