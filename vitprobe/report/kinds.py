"""What a page can draw: maps, lines, stacks of small images, tables, pictures, galleries.

Each kind is drawn by the file of its name in `assets/`. Texts are texts: nothing in them is markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Numbers = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Side:
    """One side of a map.

    title: the model's label. names: of its n layers, in the order in which they fire. blocks: of
    each layer the block it is in ("": none). outputs: of each whether it stands for its block where
    blocks alone are shown.
    """

    title: str
    names: Sequence[str]
    blocks: Sequence[str]
    outputs: Sequence[bool]


@dataclass(frozen=True)
class Sheet:
    """One quantity of all pairs of a map; the reader chooses among several.

    values: (rows, columns), NaN: blank. error: their standard errors. line: what chance exceeds in
    5 % of cases. p: p-values. limits: of the colours. distance: small values are near. interval:
    half a 95 % interval in standard errors (Student's t), NaN: unknown. blank: for each row and
    each column why it has no values ("": it has).
    """

    name: str
    values: np.ndarray
    error: np.ndarray | None = None
    line: np.ndarray | None = None
    p: np.ndarray | None = None
    limits: tuple[float, float] = (0.0, 1.0)
    distance: bool = False
    interval: float = float("nan")
    blank: tuple[Sequence[str], Sequence[str]] = ((), ())


@dataclass(frozen=True)
class Map:
    """Layers against layers: the first meet in the lower left corner."""

    title: str
    rows: Side
    columns: Side
    sheets: Sequence[Sheet]
    caption: str = ""


@dataclass(frozen=True)
class Axis:
    """Of lines. names: of the positions 0, 1, ..., instead of numbers. low, high: None follows the
    data. unit: of its numbers."""

    title: str
    names: Sequence[str] | None = None
    log: bool = False
    low: float | None = None
    high: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Series:
    """One line, or dots.

    y: NaN breaks the line. x: default 0, 1, ... error: one standard error of y. interval: half a
    95 % interval in standard errors; the band is that wide, where it is unknown one error. low,
    high: the ends of the band instead, such as the least and the largest of several. names: what
    each point is, for who points at it. group: which series belong together; the reader picks
    groups. colour: which of the page's colours, default by the order of the series' names. line:
    whether points are joined. dashed: of a line.
    """

    name: str
    y: Numbers
    x: Numbers | None = None
    error: Numbers | None = None
    interval: float = float("nan")
    names: Sequence[str] | None = None
    group: str = ""
    colour: int | None = None
    line: bool = True
    dashed: bool = False
    low: Numbers | None = None
    high: Numbers | None = None


@dataclass(frozen=True)
class Level:
    """A horizontal line with a name: chance, uniform attention."""

    name: str
    y: float


@dataclass(frozen=True)
class Lines:
    """Series over a common axis.

    picks: what the groups are (`head`); "": there is nothing to pick. ordered: the colours are
    steps of one scale, as what they stand for is. band: what `low` and `high` are, in words.
    """

    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    levels: Sequence[Level] = ()
    picks: str = ""
    ordered: bool = False
    band: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Dim:
    """What the reader steps through: a slider of names, or a list to choose from.

    start: which is shown first. columns: the names are places of a grid, row by row, in so many
    columns; names beyond its last row have no place. 0: they are in a row.
    """

    title: str
    names: Sequence[str]
    slider: bool = False
    start: int = 0
    columns: int = 0


@dataclass(frozen=True)
class Mark:
    """An outline on an image, in cells from its upper left corner: the middle and the size.

    round: an ellipse, not a rectangle. dashed: so drawn.
    """

    row: float
    column: float
    height: float
    width: float
    round: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Stack:
    """Small images of numbers, one for each choice along `dims`.

    values: (*dims, rows, columns), NaN: blank. error: their standard errors. used: (*dims, 2) int,
    the rows and columns that an image has; None: all. limits: of the colours; None: of each image
    its own least or largest. scale: of the colours, `linear`, `root` (of the share of the way) or
    `log`. centred: they are those of a difference, and own limits have 0 in the middle. said: a
    text for each image, (*dims). marks: for each image, by its place along the dims in C order.
    pictures: uint8 (n, height, width, 3 or 1), drawn below; of: the dimension that chooses among
    them (one picture: for all). opacity: of the numbers over a picture, at first.
    """

    title: str
    dims: Sequence[Dim]
    values: np.ndarray
    error: np.ndarray | None = None
    used: np.ndarray | None = None
    unit: str = ""
    limits: tuple[float | None, float | None] = (None, None)
    scale: str = "linear"
    centred: bool = False
    said: np.ndarray | None = None
    marks: Sequence[Sequence[Mark]] = ()
    pictures: np.ndarray | None = None
    of: int = 0
    opacity: float = 0.6
    ratio: float | None = None
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of texts and numbers; sorted by a click on a column's title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float]]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """An image as it is. alt: what it shows, for who does not see it."""

    title: str
    png: bytes = field(repr=False)
    alt: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """Many small pictures of one size, side by side. pictures: uint8 (n, height, width, 3 or 1).
    names: lines of text below each, `\\n` between them. words: what one is (`filter`)."""

    title: str
    pictures: np.ndarray
    names: Sequence[str] = ()
    words: str = "picture"
    caption: str = ""


Kind = Map | Lines | Stack | Table | Picture | Gallery
