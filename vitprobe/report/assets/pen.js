// A figure's frame: title, controls, the drawing, what is pointed at, files for a paper.

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
const INK = "#1b1b1f"; // of files; on screen the page's text has its own
const SERIES = ["#3f7fd6", "#e0730a", "#2b9c63", "#c9478e", "#8667d6", "#a8892c", "#3aa6b9", "#d6524a"];

function colourOf(index) {
  return SERIES[index % SERIES.length];
}

const measuring = document.createElement("canvas").getContext("2d");

/** Pixels that a text takes. */
function widthOf(text, size = 12) {
  measuring.font = `${size}px ${FONT}`;
  return measuring.measureText(text).width;
}

/** Text in a drawing; anchor: start, middle, end; turned by degrees. */
function label(text, x, y, { size = 12, anchor = "start", turn = 0, opacity = 1, weight } = {}) {
  return draw(
    "text",
    {
      x,
      y,
      "font-size": size,
      "font-family": FONT,
      "font-weight": weight,
      "text-anchor": anchor,
      fill: "currentColor",
      "fill-opacity": opacity === 1 ? null : opacity,
      transform: turn ? `rotate(${turn} ${x} ${y})` : null,
    },
    text,
  );
}

/** A line in the colour of the text. */
function stroke(x1, y1, x2, y2, opacity = 0.18, more = {}) {
  const attributes = { x1, y1, x2, y2, stroke: "currentColor", "stroke-opacity": opacity };
  return draw("line", { ...attributes, ...more });
}

/** An empty drawing of this size. */
function drawing(width, height) {
  return draw("svg", {
    xmlns: SVG,
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    "aria-hidden": "true",
  });
}

/**
 * What stands around a drawing.
 *
 * controls: elements above it. save: () => an SVG element for a paper, light and complete.
 * rows: () => rows for a table program, or null.
 * Returns {element, body, readout}: body takes the drawing, readout(lines) says what is pointed at.
 */
function frame(figure, { controls = [], save = null, rows = null }) {
  const body = make("div", { class: "body" });
  const line = make("output", { class: "readout", "aria-live": "polite" });
  const files = make("div", { class: "files" });
  if (save) {
    files.append(fileButton("SVG", figure, () => svgFile(figure, save())));
    files.append(fileButton("PNG", figure, () => pngFile(figure, save())));
  }
  if (rows) {
    files.append(
      fileButton("CSV", figure, () => {
        download(fileName(figure.title, "csv"), "text/csv", csv(rows()));
      }),
    );
  }
  const element = make(
    "figure",
    { class: figure.wide ? `${figure.kind} wide` : figure.kind },
    make("figcaption", {}, make("div", { class: "head" }, make("h3", {}, figure.title), files), figure.caption || null),
    controls.length ? make("div", { class: "controls" }, controls) : null,
    body,
    line,
  );
  const readout = (lines) => (line.textContent = lines.join(" · "));
  return { element, body, readout };
}

function fileButton(name, figure, give) {
  const title = `${name} of ${figure.title}`;
  return make("button", { type: "button", class: "small", "aria-label": title, onclick: give }, name);
}

function asText(svg) {
  svg.setAttribute("color", INK);
  const box = svg.viewBox.baseVal;
  svg.prepend(draw("rect", { x: box.x, y: box.y, width: box.width, height: box.height, fill: "#fff" }));
  return new XMLSerializer().serializeToString(svg);
}

function svgFile(figure, svg) {
  download(fileName(figure.title, "svg"), "image/svg+xml", asText(svg));
}

/** Three dots for each pixel. */
async function pngFile(figure, svg) {
  const { width, height } = svg.viewBox.baseVal;
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(asText(svg))}`;
  await image.decode();
  const canvas = make("canvas", { width: Math.round(width * 3), height: Math.round(height * 3) });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => download(fileName(figure.title, "png"), "image/png", blob), "image/png");
}

/** A title line and a drawing below it, as one drawing: for files. */
function titled(title, svg) {
  const { width, height } = svg.viewBox.baseVal;
  svg.setAttribute("viewBox", `0 -28 ${width} ${height + 28}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height + 28);
  svg.append(label(shortened(title, Math.floor(width / 7)), 8, -9, { size: 14, weight: 600 }));
  return svg;
}

/** Draw now, and again when there is another width; drawn(width) fills the element. */
function whenSized(element, drawn) {
  let last = 0;
  new ResizeObserver(() => {
    const width = Math.floor(element.clientWidth);
    if (width && width !== last) {
      last = width;
      drawn(width);
    }
  }).observe(element);
}
