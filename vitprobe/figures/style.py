"""What all figures share: the canvas, how text is measured, and how a figure is saved.

A figure is laid out in inches: its axes are placed first, at the size that the data ask for, and
the canvas is then cut to what was drawn (`fit_canvas`), so nothing can lie outside it.
"""

import io
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from threading import RLock

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from vitprobe.errors import InputError
from vitprobe.figures.names import both_ends
from vitprobe.files import expanded
from vitprobe.text import printable
from vitprobe.writing import check_target, write_file

DPI = 200
FORMATS = ("png", "svg", "pdf")
POINTS = 72  # per inch
PLAIN = {"parse_math": False, "usetex": False}  # names are text, even with $ or _ in them

# Fonts of a PDF are TrueType, which journals take, not Type 3; names in an SVG are always the same.
_SETTINGS = {"pdf.fonttype": 42, "svg.hashsalt": "vitprobe"}
_SETTING = RLock()  # matplotlib's settings are everyone's
_UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}

Measure = Callable[[str, float], tuple[float, float]]  # text, size (pt) -> width, height (pt)


class NotebookFigure(Figure):
    """A figure that IPython shows without pyplot ever being imported.

    IPython learns to show figures when pyplot is imported; before that it asks for `_repr_png_`.
    """

    def savefig(self, *args, **options) -> None:
        """As matplotlib's; a PDF has TrueType fonts."""
        with _SETTING, rc_context(_SETTINGS):
            super().savefig(*args, **options)

    def _repr_png_(self) -> bytes:
        return png_bytes(self)


def new_figure() -> Figure:
    """An empty white figure of 200 dpi with an Agg canvas, in nobody's global state."""
    figure = NotebookFigure(figsize=(8, 8), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches from the figure's lower left corner."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def text_measure(figure: Figure) -> Measure:
    """A function (text, size in pt) -> (width, height) in pt, as this figure will draw it."""
    renderer = figure.canvas.get_renderer()
    scale = POINTS / figure.dpi

    @cache
    def measure(text: str, size: float) -> tuple[float, float]:
        artist = Text(text=text, fontsize=size, **PLAIN)
        artist.set_figure(figure)
        box = artist.get_window_extent(renderer)
        return box.width * scale, box.height * scale

    return measure


def wrap(parts: Sequence[str], longest: float, size: float, measure: Measure) -> list[str]:
    """Parts joined by middle dots, in lines of at most `longest` pt.

    Lines are broken between parts; a part that is longer between its words; of a longer word the
    middle is left out.
    """

    def fits(text: str) -> bool:
        return measure(text, size)[0] <= longest

    lines: list[str] = []
    for part in parts:
        joined = f"{lines[-1]}  ·  {part}" if lines else part
        if fits(joined):
            lines[-1:] = [joined]
            continue
        words = [part] if fits(part) else [both_ends(word, fits) for word in part.split()]
        lines.append(words[0])
        for word in words[1:]:
            if fits(f"{lines[-1]} {word}"):
                lines[-1] += f" {word}"
            else:
                lines.append(word)
    return lines


def add_line(axes: Axes, line: str, above: float, style: dict) -> float:
    """Write a line `above` pt over the axes' upper left corner; return where the next one goes."""
    axes.annotate(
        line,
        xy=(0, 1),
        xycoords="axes fraction",
        xytext=(0, above),
        textcoords="offset points",
        va="bottom",
        annotation_clip=False,
        **style,
        **PLAIN,
    )
    return above + 1.45 * style["fontsize"]


def side_legend(axes: Axes, title: str) -> None:
    """The legend of what is drawn in `axes`, hung from their upper left corner; names are text."""
    legend = axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0,
        frameon=False,
        fontsize=7,
        title=title,
        title_fontsize=8,
        alignment="left",
    )
    for text in [*legend.get_texts(), legend.get_title()]:
        text.set(**PLAIN)


def fit_canvas(figure: Figure, margin: float = 0.1) -> None:
    """Cut the canvas to what is drawn plus a margin (inches); axes keep their size in inches."""
    boxes = []
    for dpi in (72, 100, DPI):  # hinting makes text up to 5 % wider at a low resolution
        figure.set_dpi(dpi)
        boxes.append(figure.get_tightbbox(figure.canvas.get_renderer()).frozen())
    drawn = Bbox.union(boxes)
    across, up = figure.get_size_inches()
    places = [axes.get_position(original=True) for axes in figure.axes]
    width, height = drawn.width + 2 * margin, drawn.height + 2 * margin
    figure.set_size_inches(width, height)
    for axes, place in zip(figure.axes, places, strict=True):
        left = (place.x0 * across - drawn.x0 + margin) / width
        bottom = (place.y0 * up - drawn.y0 + margin) / height
        axes.set_position(
            Bbox.from_bounds(left, bottom, place.width * across / width, place.height * up / height)
        )


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """The figure as a file of this kind, one of FORMATS: the same bytes each time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=_UNDATED.get(kind))
    return buffer.getvalue()


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG of 200 dpi."""
    return figure_bytes(figure, "png")


def save_png(figure: Figure, path: str | Path) -> Path:
    """Write the figure as a PNG of 200 dpi and return its path.

    Raises:
        InputError: the file cannot be written.
    """
    path = expanded(path, "figure")
    check_target(path)
    image = png_bytes(figure)
    try:
        write_file(path, lambda file: file.write(image))
    except OSError as error:
        raise InputError(
            f"cannot write {printable(path)}: {error.strerror}; choose a folder that you can write "
            "to"
        ) from error
    return path
