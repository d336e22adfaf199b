// What a map shows: one sheet, or the difference of two, of some layers.

const allMaps = []; // of the page: differences may be taken between them

function registerMaps(sections) {
  for (const section of sections) {
    for (const figure of section.figures) {
      if (figure.kind !== "map") continue;
      figure.sheets = figure.sheets.flatMap((sheet) => (sheet.line ? [sheet, calibrated(sheet)] : [sheet]));
      allMaps.push(figure);
    }
  }
}

/** What is above chance: 0 at its line, 1 at 1; see docs/null.md. */
function calibrated(sheet) {
  return { name: `${sheet.name}, above chance`, limits: [0, 1], blank: sheet.blank, of: sheet };
}

async function loaded(sheet) {
  if (sheet.of && !sheet.arrays) {
    const { values, line } = await loaded(sheet.of);
    const above = values.map((value, k) => Math.max(0, Math.min(1, (value - line[k]) / (1 - line[k]))));
    sheet.arrays = { values: above };
  }
  if (!sheet.arrays) {
    const names = ["values", "error", "line", "p"];
    const arrays = await Promise.all(names.map((name) => unpacked(sheet[name])));
    sheet.arrays = Object.fromEntries(names.map((name, k) => [name, arrays[k] && arrays[k].data]));
  }
  return sheet.arrays;
}

function places(names) {
  return new Map(names.map((name, place) => [name, place]));
}

/** Sheets that share layers with this map: [{map, sheet, name}]. */
function comparable(figure) {
  const rows = places(figure.rows.names);
  const columns = places(figure.columns.names);
  const found = [];
  for (const map of allMaps) {
    const shares = map.rows.names.some((n) => rows.has(n)) && map.columns.names.some((n) => columns.has(n));
    if (!shares) continue;
    for (const sheet of map.sheets) {
      const name = map === figure ? sheet.name : `${map.title}: ${sheet.name}`;
      found.push({ map, sheet, name });
    }
  }
  return found;
}

/** Of a map: the numbers of chosen layers, by their places among these. */
class Grid {
  static async of(figure, sheet, minusOf, blocksAlone) {
    const grid = new Grid();
    const kept = (side) =>
      side.names.map((_, place) => place).filter((place) => !blocksAlone || side.outputs[place]);
    Object.assign(grid, { figure, sheet, minusOf });
    grid.rows = kept(figure.rows);
    grid.columns = kept(figure.columns);
    grid.own = await loaded(sheet);
    grid.width = figure.columns.names.length;
    if (minusOf) {
      const other = await loaded(minusOf.sheet);
      const places_ = [places(minusOf.map.rows.names), places(minusOf.map.columns.names)];
      grid.other = { arrays: other, places: places_, width: minusOf.map.columns.names.length };
    }
    grid.setLimits();
    return grid;
  }

  get difference() {
    return Boolean(this.minusOf);
  }

  row(i) {
    return this.figure.rows.names[this.rows[i]];
  }

  column(j) {
    return this.figure.columns.names[this.columns[j]];
  }

  at(name, i, j) {
    const held = this.own[name];
    return held ? held[this.rows[i] * this.width + this.columns[j]] : NaN;
  }

  otherAt(name, i, j) {
    const { arrays, places: [rows, columns], width } = this.other;
    const row = rows.get(this.row(i));
    const column = columns.get(this.column(j));
    if (!arrays[name] || row === undefined || column === undefined) return NaN;
    return arrays[name][row * width + column];
  }

  value(i, j) {
    const own = this.at("values", i, j);
    return this.difference ? own - this.otherAt("values", i, j) : own;
  }

  /** One standard error; of a difference the root of the squares. */
  error(i, j) {
    const own = this.at("error", i, j);
    return this.difference ? Math.hypot(own, this.otherAt("error", i, j)) : own;
  }

  get hasLine() {
    return Boolean(this.own.line) && !this.difference;
  }

  /** Whether chance is as high. */
  byChance(i, j) {
    return this.hasLine && this.at("values", i, j) <= this.at("line", i, j);
  }

  blank(i, j) {
    const [rows, columns] = this.sheet.blank;
    const why = rows[this.rows[i]] || columns[this.columns[j]];
    if (why) return why;
    return this.difference ? "one of the two has no value" : "no value";
  }

  setLimits() {
    const { limits, distance } = this.sheet;
    this.scale = scaleOf(this.difference ? "centred" : "rising");
    this.scaleName = this.difference ? "centred" : "rising";
    this.turned = distance && !this.difference; // near is light
    this.limits = limits;
    if (this.difference) {
      let most = 0;
      this.each((i, j) => {
        const size = Math.abs(this.value(i, j));
        if (size > most) most = size;
      });
      this.limits = [-(most || 1), most || 1];
    }
  }

  each(visit) {
    for (let i = 0; i < this.rows.length; i++) {
      for (let j = 0; j < this.columns.length; j++) visit(i, j);
    }
  }

  /** [red, green, blue], or null for a blank. */
  colour(i, j) {
    const value = this.value(i, j);
    if (!Number.isFinite(value)) return null;
    const [low, high] = this.limits;
    const t = (value - low) / (high - low || 1);
    return this.scale(this.turned ? 1 - t : t);
  }

  /** What a reader sees of a cell. */
  words(i, j) {
    const names = `${this.row(i)} × ${this.column(j)}`;
    const value = this.value(i, j);
    const what = this.difference ? "difference" : this.sheet.name;
    if (!Number.isFinite(value)) return [names, `${what}: blank, ${this.blank(i, j)}`];
    const lines = [names, `${what} ${withError(value, this.error(i, j))}`];
    if (this.hasLine) {
      const line = `chance exceeds ${shown(this.at("line", i, j))} in 5 % of cases`;
      lines.push(this.own.p ? `${line}; p = ${shown(this.at("p", i, j), 3)}` : line);
    }
    return lines;
  }

  /** A row, or a column, as a line over the other model's layers. */
  profile(place, along) {
    const byRow = along === "row";
    const count = byRow ? this.columns.length : this.rows.length;
    const of = (read) => Array.from({ length: count }, (_, k) => (byRow ? read(place, k) : read(k, place)));
    const names = of((i, j) => (byRow ? this.column(j) : this.row(i)));
    const own = byRow ? this.row(place) : this.column(place);
    const { rows, columns } = this.figure;
    const [mine, theirs] = byRow ? [rows.title, columns.title] : [columns.title, rows.title];
    const series = [
      {
        name: this.difference ? "difference" : this.sheet.name,
        y: of((i, j) => this.value(i, j)),
        error: this.own.error ? of((i, j) => this.error(i, j)) : null,
        interval: this.sheet.interval,
        names,
        group: "",
        line: true,
      },
    ];
    if (this.hasLine) {
      const chance = of((i, j) => this.at("line", i, j));
      series.push({ name: "chance exceeds this in 5 % of cases", y: chance, names, group: "", line: true, dashed: true });
    }
    return {
      kind: "lines",
      title: `${own} of ${mine}, against the layers of ${theirs}`,
      caption: "",
      x: { title: theirs, names },
      y: { title: this.difference ? "difference" : this.sheet.name },
      series,
      levels: [],
      picks: "",
    };
  }

  csvRows() {
    const more = [this.own.error && "standard error", this.hasLine && "chance (5 %)", this.hasLine && this.own.p && "p"];
    const { rows, columns } = this.figure;
    const found = [[rows.title, columns.title, this.difference ? "difference" : this.sheet.name, ...more.filter(Boolean)]];
    this.each((i, j) => {
      const extra = [this.own.error && this.error(i, j), this.hasLine && this.at("line", i, j), this.hasLine && this.own.p && this.at("p", i, j)];
      found.push([this.row(i), this.column(j), this.value(i, j), ...extra.filter((each) => typeof each === "number")]);
    });
    return found;
  }
}
