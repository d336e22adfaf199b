// Elements, numbers, arrays, files: what all figures use. Names from files only ever become text.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** An HTML element; `onclick` and the like are listeners. */
function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** {shape, data: Float32Array or Array}, NaN where there is a blank; see report/packed.py. */
async function unpacked(held) {
  if (!held) return null;
  if (held.numbers) {
    return { shape: held.shape, data: held.numbers.map((each) => (each === null ? NaN : each)) };
  }
  const zipped = Uint8Array.from(atob(held.bytes), (letter) => letter.charCodeAt(0));
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = planes.length / 2;
  const data = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const word = planes[i] + 256 * planes[count + i];
    data[i] = word === 65535 ? NaN : held.low + word * held.step;
  }
  return { shape: held.shape, data };
}

/** `0.931`, `12.3`, `1.2e-5`, `1,234`; a blank is a dash. */
function shown(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return minus(value.toExponential(digits - 1));
  if (size >= 1000) return minus(Math.round(value).toLocaleString("en"));
  if (Number.isInteger(value)) return minus(String(value));
  return minus(size < 1 ? value.toFixed(digits) : value.toPrecision(digits));
}

function minus(text) {
  return text.replace(/^-/, "−");
}

/** `0.931 ± 0.003`: the value to the places of its error's two digits; without one as `shown`. */
function withError(value, error) {
  if (!Number.isFinite(value) || !Number.isFinite(error) || error <= 0) return shown(value);
  const places = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(error))));
  if (places > 6) return `${shown(value)} ± ${shown(error, 2)}`;
  return `${minus(value.toFixed(places))} ± ${error.toFixed(places)}`;
}

/** About so many round numbers from low to high. */
function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, count);
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * unit).find((each) => each >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
    found.push(Number((k * step).toPrecision(12)));
  }
  return found;
}

/** 1, 2, 5 of each decade that lies within, and where these are many the decades alone. */
function logTicks(low, high, count) {
  const found = [];
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++) {
    for (const each of [1, 2, 5]) {
      const value = each * 10 ** decade;
      if (value >= low * 0.999 && value <= high * 1.001) found.push(Number(value.toPrecision(6)));
    }
  }
  const decades = found.filter((each) => Number.isInteger(Number(Math.log10(each).toFixed(6))));
  return found.length > count && decades.length > 1 ? decades : found;
}

/** The text, or its two ends, as far as it may be long. */
function shortened(text, longest) {
  if (text.length <= longest) return text;
  const half = Math.max(1, Math.floor((longest - 1) / 2));
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}

/** Give the reader a file. */
function download(name, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function fileName(title, ending) {
  const word = title.replace(/[^\w@.+-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 80);
  return `${word || "figure"}.${ending}`;
}

/** Comma-separated values; what a table program would compute is text. */
function csv(rows) {
  const cell = (value) => {
    if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n");
}

/** A button that copies a text, and says that it did. */
function copyButton(label, text) {
  const button = make("button", { type: "button", class: "small" }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea", { "aria-hidden": "true", class: "unseen" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "copied";
    setTimeout(() => (button.textContent = label), 1500);
  });
  return button;
}

/** A labelled list to choose from; choose(index). */
function chooser(label, names, start, choose) {
  const list = make("select", { onchange: () => choose(list.selectedIndex) });
  list.append(...names.map((name) => make("option", {}, name)));
  list.selectedIndex = start;
  return make("label", { class: "field" }, make("span", {}, label), list);
}

/** A labelled check box. */
function tickBox(label, start, choose) {
  const box = make("input", { type: "checkbox", onchange: () => choose(box.checked) });
  box.checked = start;
  return make("label", { class: "field tick" }, box, make("span", {}, label));
}

// One box for all figures, beside the pointer.
const tip = make("div", { class: "tip", "aria-hidden": "true", hidden: true });

function showTip(lines, x, y) {
  tip.replaceChildren(...lines.map((line) => make("div", {}, line)));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const right = x + 14 + box.width < innerWidth ? x + 14 : Math.max(4, x - 14 - box.width);
  const below = y + 14 + box.height < innerHeight ? y + 14 : Math.max(4, y - 14 - box.height);
  tip.style.left = `${right}px`;
  tip.style.top = `${below}px`;
}

function hideTip() {
  tip.hidden = true;
}
addEventListener("scroll", hideTip, { passive: true });

const COARSE = matchMedia("(pointer: coarse)");
