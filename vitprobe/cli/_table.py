"""A table as wide as the terminal: names are shortened, sentences broken, numbers left whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from vitprobe.figures.names import short_names
from vitprobe.text import printable

_LEAST = 10  # characters of a column of names or sentences


@dataclass(frozen=True)
class Column:
    """A heading and a cell for each row. kind: `name`, `number` or `text` (sentences)."""

    heading: str
    cells: Sequence[str]
    kind: str = "number"

    most: int | None = None  # characters, of sentences that are to be broken

    @property
    def width(self) -> int:
        width = max(map(cell_len, [self.heading, *self.cells]))
        return width if self.most is None else min(width, self.most)

    @property
    def least(self) -> int:
        """The width that it can do with."""
        if self.kind == "number":
            return self.width
        return min(self.width, _LEAST) if self.kind == "text" else self.within(_LEAST).width

    def within(self, width: int) -> "Column":
        """The column, no wider than that, which is `least` or more."""
        if self.kind == "number":
            return self
        if self.kind == "text":
            return replace(self, most=width)
        return replace(self, cells=short_names(self.cells, width, cell_len))


def print_table(console: Console, title: str, columns: Sequence[Column]) -> None:
    """Names of one column that were distinct still are; see `short_names`.

    Where the terminal has no room for all columns, they follow in several tables, each with the
    first column; where it has none for a single number beside that, lines are longer than it is
    wide.
    """
    columns = [replace(each, cells=[printable(x, None) for x in each.cells]) for each in columns]
    if title:
        console.print(title, style="italic")
    for number, part in enumerate(_parts(columns, console.width)):
        if number:
            console.print()
        _print_part(console, part)


def _parts(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """The columns in groups that fit, where names and sentences are as narrow as they can be."""
    first, *rest = columns
    parts = [[first]]
    for column in rest:
        together = [*parts[-1], column]
        least = sum(each.least for each in together) + len(together) - 1
        if len(parts[-1]) > 1 and least > width:
            parts.append([first])
        parts[-1].append(column)
    return parts


def _print_part(console: Console, columns: Sequence[Column]) -> None:
    for gap in (2, 1):
        room = console.width - sum(each.least for each in columns) - gap * (len(columns) - 1)
        if room >= 0:
            break
    more = _shared([each.width - each.least for each in columns], max(room, 0))
    columns = [each.within(each.least + more[k]) for k, each in enumerate(columns)]
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), collapse_padding=True)
    for column in columns:
        justify = "right" if column.kind == "number" else "left"
        table.add_column(column.heading, justify=justify, width=column.width, overflow="fold")
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    own = console.width
    console.width = max(own, sum(column.width + gap for column in columns))
    console.print(table)
    console.width = own


def _shared(needs: Sequence[int], room: int) -> list[int]:
    """Each what it needs, as far as the room goes; the rest is divided equally."""
    shares = dict.fromkeys(range(len(needs)), 0)
    for count, place in enumerate(sorted(shares, key=needs.__getitem__)):
        shares[place] = min(needs[place], room // (len(needs) - count))
        room -= shares[place]
    return list(shares.values())
