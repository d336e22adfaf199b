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

    def within(self, width: int) -> "Column":
        """The column, no wider than that."""
        if self.kind == "text":
            return replace(self, most=width)
        return replace(self, cells=short_names(self.cells, width, cell_len))


def print_table(console: Console, title: str, columns: Sequence[Column]) -> None:
    """Names of one column that were distinct still are; see `short_names`.

    Where the terminal has no room even for the numbers, the lines are longer than it is wide.
    """
    columns = [replace(each, cells=[printable(x, None) for x in each.cells]) for each in columns]
    numbers = sum(column.width for column in columns if column.kind == "number")
    others = [column.width for column in columns if column.kind != "number"]
    for gap in (2, 1):
        room = console.width - numbers - gap * (len(columns) - 1)
        if room >= _LEAST * len(others):
            break
    shares = iter(_shared(others, max(room, _LEAST * len(others))))
    columns = [each if each.kind == "number" else each.within(next(shares)) for each in columns]
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), collapse_padding=True)
    for column in columns:
        justify = "right" if column.kind == "number" else "left"
        table.add_column(column.heading, justify=justify, width=column.width, overflow="fold")
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    if title:
        console.print(title, style="italic")
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
