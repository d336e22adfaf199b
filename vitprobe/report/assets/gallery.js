// Many small pictures of one size, with words below each.

const ITEM = { named: 80, bare: 36 }; // pixels of a picture's longer side
const ITEMS_ACROSS = 8; // in a file

async function drawGallery(figure) {
  const whole = new Image();
  whole.src = figure.source;
  await whole.decode();
  const { width, height } = figure;
  const named = figure.names.length > 0;
  const scale = (named ? ITEM.named : ITEM.bare) / Math.max(width, height);
  const items = Array.from({ length: figure.count }, (_, at) => {
    const lines = figure.names[at] || [];
    const name = [`${figure.words} ${at + 1}`, ...lines].join(", ");
    const canvas = make("canvas", { width, height, role: "img", "aria-label": name, title: name });
    canvas.getContext("2d").drawImage(whole, 0, -at * height);
    canvas.style.width = `${Math.round(width * scale)}px`;
    canvas.style.height = `${Math.round(height * scale)}px`;
    return { canvas, lines };
  });

  function save() {
    const across = named ? ITEMS_ACROSS : 2 * ITEMS_ACROSS;
    const [w, h] = [width * scale, height * scale];
    const step = [Math.max(w + 10, named ? 92 : 0), h + 10 + 14 * Math.max(0, ...items.map(({ lines }) => lines.length))];
    const used = Math.min(across, items.length);
    const svg = drawing(used * step[0] + 8, Math.ceil(items.length / across) * step[1] + 8);
    items.forEach(({ canvas, lines }, at) => {
      const [x, y] = [8 + (at % across) * step[0], 4 + Math.floor(at / across) * step[1]];
      svg.append(draw("image", { x, y, width: w, height: h, href: enlarged(canvas, 2 * ITEM.named) }));
      lines.forEach((line, k) => svg.append(label(shortened(line, 15), x, y + h + 12 + 14 * k, { size: 10.5 })));
    });
    return titled(figure.title, svg);
  }

  const { element, body } = frame(figure, { save });
  const text = (line, k) => make("span", { class: k ? "more" : "first" }, line);
  const drawn = items.map(({ canvas, lines }) => make("li", {}, canvas, lines.map(text)));
  body.append(make("ul", { class: named ? "items" : "items bare" }, drawn));
  return element;
}
