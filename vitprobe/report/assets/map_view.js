// A map's drawing: cells on a canvas, names and marks over it, a window that moves and grows.

const CELL = 44; // pixels of a cell's side, at most
const HIGHEST = 540; // pixels of a map
const NAMES = 11; // pixels of the names
const LEAST_GAP = 12; // pixels between two names
const DOTS = 4000; // cells with a dot, at most
const BAR = 66; // pixels at the right

/** Names beside an axis: every layer's where there is room, else blocks', the rest where it fits. */
function axisNames(names, blocks, from, to, cell) {
  const inside = (at) => at + 0.5 > from && at + 0.5 < to;
  const each = names.map((text, at) => ({ text, at: at + 0.5 })).filter((_, at) => inside(at));
  if (cell >= LEAST_GAP) return { found: each, edges: [] };
  const runs = [];
  blocks.forEach((block, at) => {
    const last = runs.at(-1);
    if (last && last.block === block && block) last.end = at + 1;
    else runs.push({ block, start: at, end: at + 1 });
  });
  const named = runs.filter((run) => run.block);
  const middle = (run) => ({ text: run.block, at: (Math.max(run.start, from) + Math.min(run.end, to)) / 2 });
  const wanted = named.filter((run) => run.end > from && run.start < to).map(middle);
  const edges = [...new Set(named.flatMap((run) => [run.start, run.end]))];
  const found = [];
  const others = each.filter(({ at }) => !blocks[at - 0.5]);
  for (const candidate of [...wanted, ...others]) {
    if (found.every((taken) => Math.abs(taken.at - candidate.at) * cell >= LEAST_GAP)) found.push(candidate);
  }
  return { found, edges: wanted.length ? edges.filter((edge) => edge > from && edge < to) : [] };
}

/** As much of a text as so many pixels hold. */
function fitted(text, pixels, size) {
  let count = Math.min(text.length, Math.ceil(pixels)); // a character takes a pixel at least
  while (count > 3 && widthOf(shortened(text, count), size) > pixels) count--;
  return shortened(text, count);
}

class MapView {
  constructor(grid, width) {
    Object.assign(this, { grid, width });
    this.reset();
    this.layOut();
    this.paint();
  }

  reset() {
    const { rows, columns } = this.grid;
    this.window = { r0: 0, r1: rows.length, c0: 0, c1: columns.length };
  }

  get zoomed() {
    const { r0, r1, c0, c1 } = this.window;
    return r1 - r0 < this.grid.rows.length || c1 - c0 < this.grid.columns.length;
  }

  /** Names and blocks of the layers that are shown. */
  sides() {
    const { figure } = this.grid;
    const of = (side, kept) => ({
      title: side.title,
      names: kept.map((k) => side.names[k]),
      blocks: kept.map((k) => side.blocks[k]),
    });
    return { rows: of(figure.rows, this.grid.rows), columns: of(figure.columns, this.grid.columns) };
  }

  layOut() {
    const { grid, width } = this;
    const [rows, columns] = [grid.rows.length, grid.columns.length];
    const sides = this.sides();
    const room = width < 520 ? 84 : 140;
    const wanted = ({ names, blocks }, cell) => {
      const { found } = axisNames(names, blocks, 0, names.length, cell);
      const hidden = found.length < names.length ? 64 : 0; // they come with zooming
      return Math.min(room, Math.max(hidden, ...found.map(({ text }) => widthOf(text, NAMES))));
    };
    const guess = Math.min(CELL, (width - room - BAR) / columns);
    this.left = wanted(sides.rows, Math.min(guess, HIGHEST / rows)) + 30;
    this.below = wanted(sides.columns, guess) + 32;
    const across = Math.max(80, width - this.left - BAR);
    const side = Math.min(CELL, across / columns);
    this.w = side * columns;
    this.h = Math.max(Math.min(rows * side, HIGHEST), Math.min(120, rows * CELL));
    if (rows * side > HIGHEST) this.w = Math.max(Math.min(this.w, 260), this.w * Math.max(0.5, HIGHEST / (rows * side)));
    this.top = 6;
    this.height = this.top + this.h + this.below;
  }

  get cell() {
    const { r0, r1, c0, c1 } = this.window;
    return [this.w / (c1 - c0), this.h / (r1 - r0)];
  }

  x(column) {
    return this.left + (column - this.window.c0) * this.cell[0];
  }

  y(row) {
    return this.top + this.h - (row - this.window.r0) * this.cell[1];
  }

  /** The cell at a point of the drawing, or null. */
  cellAt(x, y) {
    const column = Math.floor(this.window.c0 + (x - this.left) / this.cell[0]);
    const row = Math.floor(this.window.r0 + (this.top + this.h - y) / this.cell[1]);
    const inside = x >= this.left && x < this.left + this.w && y >= this.top && y < this.top + this.h;
    return inside && this.grid.rows[row] !== undefined && this.grid.columns[column] !== undefined ? { i: row, j: column } : null;
  }

  /** Larger by this factor about a place of the grid; smaller than all it never is. */
  zoom(factor, row, column) {
    const around = (low, high, at, all) => {
      const size = Math.min(all, Math.max(Math.min(4, all), (high - low) / factor));
      const start = at - ((at - low) / (high - low)) * size;
      const from = Math.max(0, Math.min(all - size, start));
      return [from, from + size];
    };
    const { r0, r1, c0, c1 } = this.window;
    [this.window.r0, this.window.r1] = around(r0, r1, row, this.grid.rows.length);
    [this.window.c0, this.window.c1] = around(c0, c1, column, this.grid.columns.length);
  }

  /** Move by so many cells. */
  pan(rows, columns) {
    const moved = (low, high, by, all) => {
      const from = Math.max(0, Math.min(all - (high - low), low + by));
      return [from, from + high - low];
    };
    const { r0, r1, c0, c1 } = this.window;
    [this.window.r0, this.window.r1] = moved(r0, r1, rows, this.grid.rows.length);
    [this.window.c0, this.window.c1] = moved(c0, c1, columns, this.grid.columns.length);
  }

  /** Move so that a cell is seen. */
  reveal({ i, j }) {
    const { r0, r1, c0, c1 } = this.window;
    const by = (low, high, at) => (at < low ? at - low : at + 1 > high ? at + 1 - high : 0);
    this.pan(by(r0, r1, i), by(c0, c1, j));
  }

  /** One pixel for each cell, the first row at the bottom; blanks are left out. */
  paint() {
    const { grid } = this;
    const [rows, columns] = [grid.rows.length, grid.columns.length];
    this.cells = make("canvas", { width: columns, height: rows });
    const pixels = new ImageData(columns, rows);
    grid.each((i, j) => {
      const colour = grid.colour(i, j);
      if (colour) pixels.data.set([...colour, 255], 4 * ((rows - 1 - i) * columns + j));
    });
    this.cells.getContext("2d").putImageData(pixels, 0, 0);
  }

  /** The cells within the window, on this canvas. */
  drawCells(canvas, density) {
    const { r0, r1, c0, c1 } = this.window;
    canvas.width = Math.round(this.w * density);
    canvas.height = Math.round(this.h * density);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    const above = this.grid.rows.length - r1;
    context.drawImage(this.cells, c0, above, c1 - c0, r1 - r0, 0, 0, canvas.width, canvas.height);
  }

  /** Names, marks, colour bar. */
  overlay() {
    const { grid, left, top, w, h } = this;
    const svg = drawing(Math.min(this.width, this.left + this.w + BAR), this.height);
    const { rows, columns } = this.sides();
    const [cellWidth, cellHeight] = this.cell;
    const { r0, r1, c0, c1 } = this.window;
    const across = axisNames(columns.names, columns.blocks, c0, c1, cellWidth);
    const up = axisNames(rows.names, rows.blocks, r0, r1, cellHeight);
    for (const edge of across.edges) svg.append(stroke(this.x(edge), top + h, this.x(edge), top + h + 5, 0.5));
    for (const edge of up.edges) svg.append(stroke(left - 5, this.y(edge), left, this.y(edge), 0.5));
    for (const { text, at } of up.found) {
      svg.append(label(fitted(text, left - 30, NAMES), left - 7, this.y(at) + 4, { size: NAMES, anchor: "end" }));
    }
    for (const { text, at } of across.found) {
      const x = this.x(at) + 4;
      svg.append(label(fitted(text, this.below - 30, NAMES), x, top + h + 8, { size: NAMES, anchor: "end", turn: -90 }));
    }
    svg.append(label(fitted(columns.title, w, 12), left + w / 2, this.height - 6, { anchor: "middle", weight: 600 }));
    svg.append(label(fitted(rows.title, Math.max(h, 90), 12), 12, top + h / 2, { anchor: "middle", turn: -90, weight: 600 }));
    svg.append(draw("rect", { x: left, y: top, width: w, height: h, fill: "none", stroke: "currentColor", "stroke-opacity": 0.45 }));
    svg.append(colourBar(left + w + 14, top, Math.max(h, 60), grid.scaleName, grid.limits, "", grid.turned));
    svg.append(this.dots());
    return svg;
  }

  /** On pairs that are no more alike than chance. */
  dots() {
    const group = draw("g", { fill: "#fff", stroke: "#000", "stroke-width": 0.6 });
    const radius = Math.min(2.6, Math.min(...this.cell) / 4);
    if (!this.grid.hasLine || radius < 1) return group;
    const { r0, r1, c0, c1 } = this.window;
    let count = 0;
    for (let i = Math.floor(r0); i < Math.min(r1, this.grid.rows.length); i++) {
      for (let j = Math.floor(c0); j < Math.min(c1, this.grid.columns.length) && count < DOTS; j++) {
        if (!this.grid.byChance(i, j) || i + 0.5 < r0 || j + 0.5 < c0 || j + 0.5 > c1 || i + 0.5 > r1) continue;
        group.append(draw("circle", { cx: this.x(j + 0.5), cy: this.y(i + 0.5), r: radius }));
        count++;
      }
    }
    return group;
  }

  /** The whole as one drawing. */
  save(title) {
    const svg = this.overlay();
    const canvas = make("canvas");
    this.drawCells(canvas, 4);
    const box = { x: this.left, y: this.top, width: this.w, height: this.h };
    const hatch = draw("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse" });
    hatch.append(draw("rect", { width: 6, height: 6, fill: "#e4e4e4" }), draw("path", { d: "M0 6 6 0", stroke: "#888" }));
    svg.prepend(draw("defs", {}, hatch), draw("rect", { ...box, fill: "url(#hatch)" }));
    svg.children[2].before(draw("image", { ...box, href: canvas.toDataURL("image/png"), preserveAspectRatio: "none" }));
    return titled(title, svg);
  }
}
