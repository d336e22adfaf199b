// What a stack is steered with: sliders, lists, and all images of a dimension, small.

const MOST_SMALL = 64; // images of a row of small ones
const SMALL = 64; // pixels of a small image's canvas

/** A slider with words for where it stands; {element, set(value)}. */
function slider(title, most, start, words, choose) {
  const said = make("span", { class: "at" });
  const input = make("input", { type: "range", min: 0, max: most, step: 1 });
  const set = (value) => {
    input.value = value;
    said.textContent = words(value);
    input.setAttribute("aria-valuetext", words(value));
  };
  input.addEventListener("input", () => {
    set(Number(input.value));
    choose(Number(input.value));
  });
  set(start);
  input.setAttribute("aria-label", title);
  const element = make("label", { class: "field slide" }, make("span", {}, `${title}: `, said), input);
  return { element, set };
}

/** The control of a dimension; {element, set(index)}. */
function dimControl(dim, choose) {
  if (dim.slider) return slider(dim.title, dim.names.length - 1, dim.start, (at) => dim.names[at], choose);
  const element = chooser(dim.title, dim.names, dim.start, choose);
  return { element, set: (at) => (element.querySelector("select").selectedIndex = at) };
}

/** All images of a dimension, small, in a row or at their places; {element, set(index), canvases}. */
function smallImages(dim, choose) {
  const canvases = dim.names.map(() => make("canvas", { width: 1, height: 1 }));
  const short = shortNames(dim.names);
  const buttons = dim.names.map((name, at) =>
    // a slider or a list does the same for the keyboard
    make(
      "button",
      { type: "button", tabindex: -1, title: name, "aria-label": name, onclick: () => choose(at) },
      canvases[at],
      make("span", { class: "name" }, shortened(short[at], 30)),
    ),
  );
  const strip = make("div", { class: dim.columns ? "strip grid" : "strip" });
  if (dim.columns) {
    const placed = dim.names.length - (dim.names.length % dim.columns);
    strip.style.gridTemplateColumns = `repeat(${dim.columns}, minmax(0, 1fr))`;
    strip.style.maxWidth = `${Math.max(160, Math.min(420, dim.columns * 44))}px`;
    buttons.slice(placed).forEach((button) => button.classList.add("unplaced"));
  }
  strip.append(...buttons);
  const set = (at) => buttons.forEach((button, k) => button.setAttribute("aria-pressed", k === at));
  const element = make("div", { role: "group", "aria-label": dim.title }, make("p", { class: "what" }, dim.title), strip);
  set(dim.start);
  return { element, set, canvases };
}

/** Where names are long, what they do not share: `blocks.3.attn`, `blocks.4.attn` are `3`, `4`. */
function shortNames(names) {
  if (names.length < 2 || names.every((name) => widthOf(name, 11) <= 66)) return names;
  const alike = (parts) => {
    let count = 0;
    while (parts.every((each) => each.length > count + 1 && each[count] === parts[0][count])) count++;
    return count;
  };
  const parts = names.map((name) => name.split("."));
  const first = alike(parts);
  const last = alike(parts.map((each) => each.slice(first).reverse()));
  return parts.map((each) => each.slice(first, each.length - last).join("."));
}

/** Whether small images of a dimension are shown. */
function hasSmall(dim) {
  return dim.names.length > 1 && (dim.columns > 0 || dim.names.length <= MOST_SMALL);
}
