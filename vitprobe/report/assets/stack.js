// Small images of numbers, one at a time large: over a picture, with colours, cell by cell.

const LONGEST_SIDE = 420; // pixels of an image
const BAR_ROOM = 82; // pixels right of it
const CELL_STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

class Stack {
  constructor(figure) {
    this.figure = figure;
    this.chosen = figure.dims.map((dim) => dim.start);
    this.opacity = figure.pictures.length ? figure.opacity : 1;
    this.known = new Map();
    this.cell = null;
    this.canvas = make("canvas", { width: 1, height: 1 });
    this.over = draw("svg", { xmlns: SVG, "aria-hidden": "true" });
    this.picture = figure.pictures.length ? make("img", { alt: "" }) : null;
    const name = `${figure.title}: arrow keys read cell by cell`;
    this.plot = make("div", { class: "plot cells", tabindex: 0, role: "application", "aria-label": name }, this.picture, this.canvas, this.over);
    this.bar = make("div", { class: "bar" });
    this.words = make("p", { class: "said" });
    this.steer();
  }

  /** Sliders, lists and small images. */
  steer() {
    const { dims, pictures } = this.figure;
    const several = dims.map((dim, k) => ({ dim, k })).filter(({ dim }) => dim.names.length > 1);
    this.steered = several.map(({ dim, k }) => ({ k, ...dimControl(dim, (at) => this.choose(k, at)) }));
    this.controls = this.steered.map((each) => each.element);
    if (pictures.length) {
      const words = (percent) => `${percent} %`;
      const fade = (percent) => this.fade(percent / 100);
      this.controls.push(slider("map over the image", 100, Math.round(100 * this.opacity), words, fade).element);
    }
    this.small = several
      .filter(({ dim }) => hasSmall(dim))
      .map(({ dim, k }) => ({ k, painted: null, ...smallImages(dim, (at) => this.choose(k, at)) }));
  }

  at(chosen = this.chosen) {
    return this.figure.dims.reduce((at, dim, k) => at * dim.names.length + chosen[k], 0);
  }

  load(at) {
    if (!this.known.has(at)) this.known.set(at, stackImage(this.figure, at));
    return this.known.get(at);
  }

  get names() {
    return this.figure.dims.map((dim, k) => dim.names[this.chosen[k]]).join(", ");
  }

  async choose(k, index) {
    this.chosen[k] = index;
    for (const each of [...this.steered, ...this.small]) if (each.k === k) each.set(index);
    await this.show();
  }

  fade(opacity) {
    this.opacity = opacity;
    this.canvas.style.opacity = opacity;
    if (this.picture) this.picture.style.filter = `grayscale(${opacity > 0 ? 1 : 0}) contrast(${contrastBelow(opacity)})`;
  }

  /** The image that is chosen, and small ones beside it. */
  async show() {
    const at = this.at();
    const image = await this.load(at);
    if (at !== this.at()) return; // another one was chosen meanwhile
    this.image = image;
    this.paint();
    for (const small of this.small) {
      const others = this.chosen.filter((_, k) => k !== small.k).join();
      if (small.painted === others) continue;
      small.painted = others;
      for (const [index, canvas] of small.canvases.entries()) {
        const one = await this.load(this.at(this.chosen.map((each, k) => (k === small.k ? index : each))));
        if (small.painted !== others) return;
        paintImage(this.figure, one, canvas, SMALL);
        canvas.style.aspectRatio = this.ratio ? `1 / ${this.ratio}` : `${one.columns} / ${one.rows}`;
      }
    }
  }

  get ratio() {
    return this.figure.ratio;
  }

  get source() {
    const { pictures, of } = this.figure;
    return pictures[pictures.length > 1 ? this.chosen[of] : 0];
  }

  /** Width and height of the image where there is so much room. */
  size(room) {
    const ratio = this.ratio || this.image.rows / this.image.columns;
    const width = Math.min(room, LONGEST_SIDE, LONGEST_SIDE / ratio);
    return [Math.max(40, width), Math.max(40, width * ratio)];
  }

  fit(room) {
    this.room = room;
    if (this.image) this.paint();
  }

  paint() {
    if (!this.room) return;
    const { figure, image } = this;
    const [width, height] = this.size(this.room - BAR_ROOM);
    this.plot.style.width = `${width}px`;
    this.plot.style.height = `${height}px`;
    if (this.picture && this.picture.src !== this.source) this.picture.src = this.source;
    paintImage(figure, image, this.canvas);
    this.fade(this.opacity);
    this.over.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.cursor = draw("g", {});
    this.over.replaceChildren(stackOver(figure, image, width, height), this.cursor);
    const bar = drawing(BAR_ROOM, height + 16);
    bar.append(stackBar(figure, image.limits, 8, 8, height));
    this.bar.replaceChildren(bar);
    this.words.replaceChildren(make("strong", {}, this.names || ""), ...this.about().map((line) => make("span", {}, line)));
    if (this.cell) this.point(this.cell);
  }

  /** What is said of the image. */
  about() {
    const { figure, image } = this;
    const own = figure.limits.includes(null) && figure.values.length > 1;
    const there = image.values.some(Number.isFinite);
    const lines = [figure.said[image.at], there ? "" : "no value in this map"];
    if (own && there) lines.push(`colours from ${shown(image.limits[0])} to ${shown(image.limits[1])}, each map its own`);
    return lines.filter(Boolean);
  }

  /** Show which cell is read; lines of what it holds. */
  point(cell) {
    const { image } = this;
    const row = Math.max(0, Math.min(image.rows - 1, cell[0]));
    const column = Math.max(0, Math.min(image.columns - 1, cell[1]));
    this.cell = [row, column];
    const at = row * image.columns + column;
    const [width, height] = this.size(this.room - BAR_ROOM);
    const [w, h] = [width / image.columns, height / image.rows];
    const lines = [["#000", 3], ["#fff", 1.4]].map(([colour, size]) => ({ fill: "none", stroke: colour, "stroke-width": size }));
    this.cursor.replaceChildren(...lines.map((line) => inset(column * w, row * h, w, h, line, 0.7)));
    const value = image.values[at];
    const number = image.error ? withError(value, image.error[at]) : shown(value, 4);
    const unit = this.figure.unit ? `${this.figure.unit} ` : "";
    return [`row ${row}, column ${column}`, Number.isFinite(value) ? `${unit}${number}` : "no value"];
  }

  away() {
    this.cell = null;
    this.cursor?.replaceChildren();
    hideTip();
  }

  /** What is pointed at, by pointer and by keys. */
  listen(readout) {
    const over = (event) => {
      const box = this.plot.getBoundingClientRect();
      const part = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
      const lines = this.point([Math.floor(part[0] * this.image.rows), Math.floor(part[1] * this.image.columns)]);
      showTip(lines, event.clientX, event.clientY);
      readout([this.names, ...lines].filter(Boolean));
    };
    this.plot.addEventListener("pointermove", over);
    this.plot.addEventListener("pointerdown", over);
    this.plot.addEventListener("pointerleave", () => this.away());
    this.plot.addEventListener("blur", () => this.away());
    this.plot.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return this.away();
      const step = CELL_STEPS[event.key];
      if (!step) return;
      event.preventDefault();
      const { rows, columns } = this.image;
      const next = this.cell ? [this.cell[0] + step[0], this.cell[1] + step[1]] : [rows >> 1, columns >> 1];
      const lines = this.point(next);
      const box = this.cursor.getBoundingClientRect();
      showTip(lines, box.right, box.bottom);
      readout([this.names, ...lines].filter(Boolean));
    });
  }

  /** The view as a drawing for a paper. */
  save() {
    const [width, height] = this.size(LONGEST_SIDE);
    const svg = drawing(width + BAR_ROOM + 8, height + 34);
    const box = { x: 8, y: 8, width, height, preserveAspectRatio: "none" };
    if (this.picture) {
      const { id, filter } = fadedBelow(this.opacity);
      const below = { ...box, href: this.source, filter: `url(#${id})`, "image-rendering": "pixelated" };
      svg.append(draw("defs", {}, filter), draw("image", below));
    }
    svg.append(draw("image", { ...box, href: enlarged(this.canvas), opacity: this.opacity === 1 ? null : this.opacity }));
    const { x, y } = box;
    const over = draw("svg", { x, y, width, height, overflow: "hidden" }, stackOver(this.figure, this.image, width, height));
    svg.append(over, draw("rect", { x, y, width, height, fill: "none", stroke: "currentColor", "stroke-opacity": 0.5, "stroke-width": 0.6 }));
    svg.append(stackBar(this.figure, this.image.limits, width + 16, 8, height));
    svg.append(label(shortened(this.names, Math.floor(width / 5.5)), 8, height + 25, { size: 11.5 }));
    return titled(this.figure.title, svg);
  }

  rows() {
    const { figure, image } = this;
    const chosen = figure.dims.map((dim, k) => dim.names[this.chosen[k]]);
    const head = [...figure.dims.map((dim) => dim.title), "row", "column", figure.unit || "value"];
    const found = [image.error ? [...head, "standard error"] : head];
    for (let at = 0; at < image.values.length; at++) {
      const cell = [...chosen, Math.floor(at / image.columns), at % image.columns, image.values[at]];
      found.push(image.error ? [...cell, image.error[at]] : cell);
    }
    return found;
  }
}

/** A canvas as a PNG whose cells stay sharp wherever it is shown. */
function enlarged(canvas, side = 600) {
  const times = Math.max(1, Math.ceil(side / Math.max(canvas.width, canvas.height)));
  const large = make("canvas", { width: canvas.width * times, height: canvas.height * times });
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  return large.toDataURL("image/png");
}

async function drawStack(figure) {
  const stack = new Stack(figure);
  await stack.show();
  const save = () => stack.save();
  const { element, body, readout } = frame(figure, { controls: stack.controls, save, rows: () => stack.rows() });
  const main = make("div", { class: "main" }, make("div", { class: "image" }, stack.plot, stack.bar), stack.words);
  const beside = stack.small.length ? make("div", { class: "beside" }, stack.small.map((each) => each.element)) : null;
  body.append(make("div", { class: "side" }, main, beside));
  stack.listen(readout);
  whenSized(body, (width) => stack.fit(width));
  return element;
}
