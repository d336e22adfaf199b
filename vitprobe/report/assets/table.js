// Rows of texts and numbers; a click on a column's title sorts by it.

async function drawTable(figure) {
  const rows = () => [figure.columns, ...figure.rows.map((row) => row.map((cell) => cell ?? NaN))];
  const { element, body } = frame(figure, { rows });
  const lines = figure.rows.map((row) =>
    make(
      "tr",
      {},
      row.map((cell) =>
        typeof cell === "string"
          ? make("td", {}, cell)
          : make("td", { class: "number" }, shown(cell)),
      ),
    ),
  );
  const inside = make("tbody", {}, lines);
  let by = -1;
  let turned = false;
  const titles = figure.columns.map((name, column) => {
    const counted = figure.rows.length > 0 && figure.rows.every((row) => typeof row[column] !== "string");
    const title = make("th", { scope: "col", "aria-sort": "none", class: counted ? "number" : null });
    title.append(make("button", { type: "button", class: "small", onclick: () => sort(column) }, name));
    return title;
  });

  function sort(column) {
    turned = by === column && !turned;
    by = column;
    const order = figure.rows.map((_, i) => i).sort((i, j) => compared(figure.rows[i][column], figure.rows[j][column]));
    if (turned) order.reverse();
    inside.append(...order.map((i) => lines[i]));
    titles.forEach((title, i) => {
      title.setAttribute("aria-sort", i !== column ? "none" : turned ? "descending" : "ascending");
    });
  }

  const table = make("table", {}, make("thead", {}, make("tr", {}, titles)), inside);
  body.append(make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": figure.title }, table));
  return element;
}

/** Blanks last. */
function compared(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
}
