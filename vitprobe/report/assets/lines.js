// Lines, bands and dots over an axis: to point at, to walk along, to hide and to pick.

const PAPER = 640; // px, the width of a file
const LINE_KEYS = "Left and right move along a line, up and down to another, Escape leaves.";

/** A figure of lines. */
async function drawLines(figure) {
  const groups = [...new Set(figure.series.map((each) => each.group).filter(Boolean))];
  let plot = null;
  const controls = [];
  if (figure.picks && groups.length > 1) {
    controls.push(chooser(figure.picks, ["all", ...groups], 0, (k) => plot.pick(k ? groups[k - 1] : null)));
  }
  const { element, body, readout } = frame(figure, { controls, save: () => plot.save(), rows: () => plot.rows() });
  plot = linePlot(body, figure, readout);
  return element;
}

/**
 * Draw a figure of lines into an element; readout(lines) is told what is pointed at.
 *
 * Returns {update(figure), pick(group or null), save(), rows()}.
 */
function linePlot(element, figure, readout) {
  let series = preparedSeries(figure);
  let [drawn, width, picked, at] = [null, 0, null, null];
  const hidden = new Set();
  const legend = make("div", { class: "legend" });
  const plot = make("div", { class: "plot lines", tabindex: 0, role: "application", "aria-roledescription": "line plot" });
  element.append(legend, plot);

  const shownSeries = () => series.filter((each) => !hidden.has(each.name));

  function redraw() {
    plot.setAttribute("aria-label", `${figure.title}. ${LINE_KEYS}`);
    if (!width) return;
    at = null;
    hideTip();
    drawn = plotted(figure, shownSeries(), picked, width);
    plot.replaceChildren(drawn.svg);
  }

  function relabel() {
    const firsts = firstOfEach(series);
    const words = bandWords(figure, series);
    legend.replaceChildren(
      ...(firsts.length > 1 ? firsts.map(entry) : []),
      ...(words ? [make("span", { class: "note" }, words)] : []),
    );
    legend.hidden = !legend.childElementCount;
  }

  function entry(each) {
    const icon = draw("svg", { width: 20, height: 14, viewBox: "0 0 20 14", "aria-hidden": "true" }, swatch(each));
    const button = make("button", { type: "button", "aria-pressed": String(!hidden.has(each.name)) }, icon, each.name);
    button.addEventListener("click", () => {
      if (!hidden.delete(each.name)) hidden.add(each.name);
      button.setAttribute("aria-pressed", String(!hidden.has(each.name)));
      redraw();
    });
    return button;
  }

  /** Mark a point and say what it is; null: none. */
  function show(point) {
    at = point;
    if (!drawn) return;
    drawn.marks.replaceChildren();
    if (!point) {
      hideTip();
      return;
    }
    const { x, y } = point;
    drawn.marks.append(
      stroke(x, drawn.top, x, drawn.bottom, 0.35),
      draw("circle", { cx: x, cy: y, r: 5.5, fill: "none", stroke: point.series.colour, "stroke-width": 2.2 }),
    );
    const lines = pointWords(figure, point);
    const box = plot.getBoundingClientRect();
    showTip(lines, box.left + x, box.top + y);
    readout(lines);
  }

  function nearest(x, y, points = drawn?.points ?? []) {
    let [found, least] = [null, Infinity];
    for (const each of points) {
      const far = (each.x - x) ** 2 + (each.y - y) ** 2;
      if (far < least) [found, least] = [each, far];
    }
    return found;
  }

  function pointed(event) {
    const box = plot.getBoundingClientRect();
    show(nearest(event.clientX - box.left, event.clientY - box.top));
  }

  plot.addEventListener("pointermove", pointed);
  plot.addEventListener("pointerdown", pointed);
  plot.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && show(null));
  plot.addEventListener("blur", () => show(null));
  plot.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    const climb = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (event.key === "Escape") show(null);
    else if (move) show(along(move));
    else if (climb) show(across(climb));
    else return;
    event.preventDefault();
  });

  /** The point so many further on the same line. */
  function along(move) {
    const points = drawn?.points ?? [];
    if (!at) return points[0] ?? null;
    const own = points.filter((each) => each.series === at.series).sort((a, b) => a.x - b.x);
    return own[Math.min(Math.max(own.indexOf(at) + move, 0), own.length - 1)];
  }

  /** The next point above or below, of another line, at about the same place. */
  function across(climb) {
    const points = drawn?.points ?? [];
    if (!at) return points[0] ?? null;
    const near = [...new Set(points.map((each) => each.series))]
      .map((one) => (one === at.series ? at : nearest(at.x, at.y, sameColumn(points.filter((each) => each.series === one)))))
      .sort((a, b) => b.y - a.y || a.series.number - b.series.number);
    return near[Math.min(Math.max(near.indexOf(at) + climb, 0), near.length - 1)];
  }

  function sameColumn(points) {
    const least = Math.min(...points.map((each) => Math.abs(each.x - at.x)));
    return points.filter((each) => Math.abs(each.x - at.x) <= least + 0.5);
  }

  relabel();
  whenSized(element, (now) => {
    width = now;
    redraw();
  });
  return {
    update(next) {
      figure = next;
      series = preparedSeries(figure);
      relabel();
      redraw();
    },
    pick(group) {
      picked = group;
      redraw();
    },
    save() {
      const some = shownSeries();
      const firsts = firstOfEach(some);
      const svg = plotted(figure, some, picked, PAPER).svg;
      return titled(figure.title, withLegend(svg, firsts.length > 1 ? firsts : [], bandWords(figure, some)));
    },
    rows: () => lineRows(figure, series),
  };
}

/** The first series of each name; `shared` where others of that name have other colours. */
function firstOfEach(series) {
  const found = new Map();
  for (const each of series) {
    const first = found.get(each.name) ?? { ...each, shared: false };
    found.set(each.name, { ...first, shared: first.shared || first.colour !== each.colour });
  }
  return [...found.values()];
}

function nameOf(figure, each, i) {
  return each.names?.[i] ?? figure.x.names?.[each.x[i]] ?? `${axisTitle(figure.x)} ${shown(each.x[i])}`;
}

/** What a point is: its line, its name, its value with what it may be off by. */
function pointWords(figure, { series: each, i }) {
  const unit = figure.y.unit ? ` ${figure.y.unit}` : "";
  const value = `${withError(each.y[i], each.error?.[i])}${unit}`;
  const ends = each.low && Number.isFinite(each.low[i]) && Number.isFinite(each.high[i]);
  const between = ends && each.low[i] < each.high[i] ? `${shown(each.low[i])} to ${shown(each.high[i])}${unit}` : "";
  const name = nameOf(figure, each, i);
  const lines = [each.title, ...(name === each.title ? [] : [name]), value].filter(Boolean);
  if (between && each.known) lines.push(`95 % interval ${between}`);
  else if (between && !each.error) lines.push(`${figure.band || "range"}: ${between}`);
  return lines;
}

/** Every point, for a table program. */
function lineRows(figure, series) {
  const head = ["series", figure.picks || "group", "point", axisTitle(figure.x) || "x", axisTitle(figure.y) || "y", "standard error", "low", "high"];
  const rows = series.flatMap((each) =>
    each.y.map((value, i) => [
      each.name,
      each.group ?? "",
      nameOf(figure, each, i),
      each.x[i],
      value,
      each.error?.[i] ?? NaN,
      Number((each.low?.[i] ?? NaN).toPrecision(7)),
      Number((each.high?.[i] ?? NaN).toPrecision(7)),
    ]),
  );
  return [head, ...rows];
}
