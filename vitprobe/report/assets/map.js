// Layers against layers: point at a pair, zoom, fix a row, choose what is shown, take a difference.

const KEYS = "Arrow keys move, Enter fixes the row, Escape lets it go, plus and minus zoom, 0 shows all.";

let mapsDrawn = 0;

async function drawMap(figure) {
  const others = comparable(figure);
  const state = { sheet: 0, minusOf: null, blocks: false, along: "row", fixed: null, cursor: null };
  const some = (side) => side.outputs.some(Boolean);
  const canBlocks = some(figure.rows) && some(figure.columns) && ![...figure.rows.outputs, ...figure.columns.outputs].every(Boolean);
  let grid = await Grid.of(figure, figure.sheets[0], null, false);
  let view = null;
  const number = mapsDrawn++;

  const controls = [];
  if (figure.sheets.length > 1) {
    controls.push(chooser("quantity", figure.sheets.map((sheet) => sheet.name), 0, (k) => change({ sheet: k })));
  }
  if (others.length > 1) {
    const names = ["nothing", ...others.map((other) => other.name)];
    controls.push(chooser("minus", names, 0, (k) => change({ minusOf: k ? others[k - 1] : null })));
  }
  if (canBlocks) controls.push(tickBox("blocks alone", false, (on) => change({ blocks: on })));
  controls.push(
    chooser("a click fixes", ["a row", "a column"], 0, (k) => {
      state.along = k ? "column" : "row";
      state.fixed = null;
      showProfile();
    }),
  );
  const zoomButton = (text, words, act) => make("button", { type: "button", class: "small", "aria-label": words, title: words, onclick: act }, text);
  controls.push(
    make(
      "div",
      { class: "zoom" },
      zoomButton("−", "zoom out", () => zoomBy(1 / 1.6)),
      zoomButton("+", "zoom in", () => zoomBy(1.6)),
      zoomButton("all", "show the whole map", () => {
        view.reset();
        redraw();
      }),
    ),
  );

  const title = () => `${figure.title}: ${state.minusOf ? `${grid.sheet.name} − ${state.minusOf.name}` : grid.sheet.name}`;
  const { element, body, readout } = frame(figure, { controls, save: () => view.save(title()), rows: () => grid.csvRows() });
  const canvas = make("canvas", { "aria-hidden": "true", class: "hatched" });
  const layer = make("div", { class: "overlay" });
  const plot = make("div", { class: "plot", tabindex: 0, role: "application", "aria-roledescription": "map", "aria-label": `${figure.title}. ${KEYS}` }, canvas, layer);
  const profile = make("div", { class: "profile" });
  body.append(plot, profile);
  readout([`${figure.rows.names.length} × ${figure.columns.names.length} pairs: point at one, or use the arrow keys; a click shows its row as a line`]);

  async function change(what) {
    Object.assign(state, what, { fixed: null, cursor: null });
    const size = [grid.rows.length, grid.columns.length];
    grid = await Grid.of(figure, figure.sheets[state.sheet], state.minusOf, state.blocks);
    const kept = size[0] === grid.rows.length && size[1] === grid.columns.length ? view.window : null;
    view = new MapView(grid, view.width);
    if (kept) view.window = kept;
    redraw();
    showProfile();
  }

  function redraw() {
    view.drawCells(canvas, Math.min(3, devicePixelRatio || 1));
    canvas.style.left = `${view.left}px`;
    canvas.style.top = `${view.top}px`;
    canvas.style.width = `${view.w}px`;
    canvas.style.height = `${view.h}px`;
    layer.replaceChildren(view.overlay());
    plot.classList.toggle("zoomed", view.zoomed);
    mark();
  }

  /** The cell that is pointed at, and what is fixed. */
  function mark() {
    const svg = layer.firstChild;
    svg.querySelector(".marks")?.remove();
    const id = `window-${number}`;
    const window_ = { x: view.left - 2, y: view.top - 2, width: view.w + 4, height: view.h + 4 };
    const clip = draw("clipPath", { id }, draw("rect", window_));
    const marks = draw("g", { class: "marks", fill: "none", "clip-path": `url(#${id})` }, clip);
    const box = (i, j, rows, columns) => {
      const [w, h] = view.cell;
      const at = { x: view.x(j), y: view.y(i + rows), width: w * columns, height: h * rows };
      marks.append(draw("rect", { ...at, stroke: "#000", "stroke-width": 3 }));
      marks.append(draw("rect", { ...at, stroke: "#fff", "stroke-width": 1.4 }));
    };
    if (state.fixed !== null) {
      if (state.along === "row") box(state.fixed, 0, 1, grid.columns.length);
      else box(0, state.fixed, grid.rows.length, 1);
    }
    if (state.cursor) box(state.cursor.i, state.cursor.j, 1, 1);
    svg.append(marks);
  }

  function pointAt(cell) {
    state.cursor = cell;
    mark();
    if (cell) readout(grid.words(cell.i, cell.j));
  }

  function fix(cell) {
    const place = state.along === "row" ? cell.i : cell.j;
    state.fixed = state.fixed === place ? null : place;
    mark();
    showProfile();
  }

  function showProfile() {
    profile.replaceChildren();
    if (state.fixed === null) return;
    const line = grid.profile(state.fixed, state.along);
    const place = make("div");
    const words = make("output", { class: "readout" });
    profile.append(make("h4", {}, line.title), place, words);
    linePlot(place, line, (lines) => (words.textContent = lines.join(" · ")));
  }

  function zoomBy(factor, row, column) {
    const { r0, r1, c0, c1 } = view.window;
    view.zoom(factor, row ?? state.cursor?.i ?? (r0 + r1) / 2, column ?? state.cursor?.j ?? (c0 + c1) / 2);
    redraw();
  }

  whenSized(body, (width) => {
    const kept = view?.window;
    view = new MapView(grid, width);
    if (kept) view.window = kept;
    redraw();
  });
  steerMap(plot, {
    view: () => view,
    grid: () => grid,
    cursor: () => state.cursor,
    pointAt,
    fix,
    release: () => {
      state.fixed = null;
      mark();
      showProfile();
    },
    zoomBy,
    redraw,
  });
  return element;
}
