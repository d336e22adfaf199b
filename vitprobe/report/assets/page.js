// The page: what it is of, findings, a section for each analysis, where the numbers come from.

const held = JSON.parse(document.getElementById("document").textContent);
const DRAWERS = { map: drawMap, lines: drawLines, stack: drawStack, table: drawTable, picture: drawPicture, gallery: drawGallery };
const manySections = held.sections.length > 1; // else its sentences stand below its figures
const THEMES = ["auto", "light", "dark"];

function themeButton() {
  let theme = 0;
  const button = make("button", { type: "button", class: "small" }, "theme: auto");
  button.addEventListener("click", () => {
    theme = (theme + 1) % THEMES.length;
    document.documentElement.dataset.theme = THEMES[theme];
    button.textContent = `theme: ${THEMES[theme]}`;
  });
  return button;
}

function head() {
  const parts = [make("h1", {}, held.title)];
  const actions = make("div", { class: "actions" });
  if (held.command) {
    parts.push(make("pre", { class: "command", tabindex: 0, "aria-label": "command" }, held.command));
    actions.append(copyButton("copy the command", held.command));
  }
  actions.append(copyButton("copy the citation (BibTeX)", held.citation), themeButton());
  return make("header", {}, ...parts, actions);
}

function anchor(section) {
  return `section-${section.name.replace(/[^\w-]/g, "-")}`;
}

function contents(parts) {
  const links = parts.map(([title, id]) => make("li", {}, make("a", { href: `#${id}` }, title)));
  return make("nav", { "aria-label": "sections" }, make("ul", {}, ...links));
}

/** Sentences under the questions that they answer. */
function sentences(findings) {
  const groups = new Map();
  for (const each of findings) {
    const key = `${each.question}\n${each.figure}`;
    groups.set(key, [...(groups.get(key) || []), each]);
  }
  return [...groups.values()].map((group) =>
    make(
      "div",
      { class: "finding" },
      make("p", { class: "question" }, group[0].question, " ", make("span", {}, `(${group[0].figure})`)),
      make(
        "ul",
        {},
        group.map((each) => make("li", { class: each.told ? "told" : "untold" }, each.sentence)),
      ),
    ),
  );
}

/** All sentences of the page in one table. */
function findingsSection() {
  const all = held.sections.flatMap((section) =>
    section.findings.map((each) => ({ ...each, section })),
  );
  const table = all.length
    ? make(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "findings" },
        make(
          "table",
          { class: "findings" },
          make("thead", {}, make("tr", {}, ["finding", "analysis", "in the paper"].map((name) => make("th", { scope: "col" }, name)))),
          make(
            "tbody",
            {},
            all.map((each) =>
              make(
                "tr",
                { class: each.told ? "told" : "untold" },
                make("td", {}, each.sentence),
                make("td", {}, make("a", { href: `#${anchor(each.section)}` }, each.section.title)),
                make("td", {}, each.figure),
              ),
            ),
          ),
        ),
      )
    : null;
  const untold = all.filter((each) => !each.told).length;
  const count = `${all.length} sentences, each with its standard error; ${untold} of them say that it cannot be told (set in grey).`;
  return make(
    "section",
    { id: "findings" },
    make("h2", {}, "Findings"),
    all.length ? make("p", { class: "asked" }, count) : null,
    table,
    held.papers.map(leftOut),
    held.papers.map(filesOf),
  );
}

function leftOut(paper) {
  if (!paper.left_out.length) return null;
  const rows = paper.left_out.map((row) => make("li", {}, `${row[0].replaceAll("_", " ")}${row[1] ? ` of ${row[1]}` : ""}: ${row[2]}`));
  return make("details", {}, make("summary", {}, `What was left out, and why (${rows.length})`), make("ul", {}, rows));
}

function fileLinks(files) {
  return make(
    "ul",
    { class: "links" },
    files.map(([name, address]) => make("li", {}, make("a", { href: address }, name))),
  );
}

function filesOf(paper) {
  if (!paper.files.length) return null;
  const title = `Files of the findings, and of all together (${paper.files.length})`;
  return make("details", {}, make("summary", {}, title), fileLinks(paper.files));
}

/** Where a result's numbers come from. */
function provenance(result) {
  const rows = result.facts.map(([name, value]) =>
    make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)),
  );
  const notes = result.notes.map((note) => make("li", {}, note));
  return make(
    "details",
    { class: "provenance" },
    make("summary", {}, `Where the numbers come from: ${result.title}`),
    result.command
      ? make("div", { class: "actions" }, make("code", {}, result.command), copyButton("copy", result.command))
      : null,
    notes.length ? make("ul", { class: "notes" }, notes) : null,
    result.files.length ? fileLinks(result.files) : null,
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "facts" }, make("table", {}, make("tbody", {}, rows))),
  );
}

// Figures are drawn when they are near: a page may hold hundreds.
const waiting = new Map();
const unfinished = new Set();
const near = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => drawNow(entry.target)),
  { rootMargin: "800px" },
);

async function drawNow(place) {
  const figure = waiting.get(place);
  if (!figure) return;
  waiting.delete(place);
  near.unobserve(place);
  const drawn = DRAWERS[figure.kind](figure);
  unfinished.add(drawn);
  place.replaceWith(await drawn);
  unfinished.delete(drawn);
}

/** Goes to an element again once all that stands before it is drawn: its place is known then. */
async function settleAt(to) {
  const before = (place) => place.compareDocumentPosition(to) & Node.DOCUMENT_POSITION_FOLLOWING;
  await Promise.all([...[...waiting.keys()].filter(before).map(drawNow), ...unfinished]);
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame); // they take their size
  to.scrollIntoView({ behavior: "instant" });
}

function settleAtHash(hash) {
  const to = hash && document.getElementById(hash.slice(1));
  if (to) settleAt(to);
}

function later(figure) {
  const place = make("div", { class: `later ${figure.kind}${figure.wide ? " wide" : ""}` }, make("p", {}, figure.title));
  waiting.set(place, figure);
  near.observe(place);
  return place;
}

function sectionOf(section) {
  const count = section.findings.length;
  const shows = `What it shows (${count} sentence${count > 1 ? "s" : ""})`;
  return make(
    "section",
    { id: anchor(section) },
    make("h2", {}, section.title),
    section.asked ? make("p", { class: "asked" }, section.asked) : null,
    make("div", { class: "figures" }, section.figures.map(later)),
    count
      ? make("details", { class: "shows", open: !manySections }, make("summary", {}, shows), sentences(section.findings))
      : null,
    section.results.map(provenance),
  );
}

function build() {
  const some = manySections && (held.sections.some((section) => section.findings.length) || held.papers.length);
  const parts = [
    ...(some ? [["Findings", "findings"]] : []),
    ...held.sections.map((section) => [section.title, anchor(section)]),
  ];
  registerMaps(held.sections);
  document.body.append(
    make("a", { class: "skip", href: "#main" }, "to the content"),
    head(),
    contents(parts),
    make("main", { id: "main" }, some ? findingsSection() : null, ...held.sections.map(sectionOf)),
    make("footer", {}, `vitprobe ${held.version}. ± is one standard error; a blank has its reason.`),
    tip,
  );
  document.addEventListener("click", (event) => settleAtHash(event.target.closest('a[href^="#"]')?.getAttribute("href")));
  settleAtHash(location.hash);
  addEventListener("beforeprint", () => [...waiting.keys()].forEach(drawNow));
}

build();
