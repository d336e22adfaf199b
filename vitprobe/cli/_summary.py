"""What the summaries of all commands have in common."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from vitprobe.errors import InputError
from vitprobe.text import printable, wrapped

if TYPE_CHECKING:  # commands without results need not load it
    import xarray as xr

_LABEL = 9  # characters, with the space that follows
_FILE_WIDTH = 200  # characters of a table in a file or a pipe: lines need not fit a screen


class _Console(Console):
    """Prints names as they are, which may hold brackets, but no control characters.

    At a terminal lines are broken at spaces, where it would break them amid a number.
    """

    def print(self, *objects, **options) -> None:
        shown = (self.lines(each) if isinstance(each, str) else each for each in objects)
        super().print(*shown, **options)

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError: rich's own would end the process, whatever is left to do

    def lines(self, text: str, indent: int = 0) -> str:
        """The text as it is printed; indent: of what follows its first line."""
        text = printable(text, None)
        fits = not (self.is_terminal or "COLUMNS" in os.environ) or cell_len(text) <= self.width
        return text if fits else wrapped(text, self.width, indent)


def new_console() -> Console:
    """Where summaries are printed: stdout."""
    console = _Console(highlight=False, soft_wrap=True, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _FILE_WIDTH
    return console


def say(console: Console, label: str, text: str, *, whole: bool = False) -> None:
    """One line, broken where the terminal is narrow: what it is about, and the text.

    whole: leave it to the terminal; for what is to be copied.
    """
    line = f"{label:{_LABEL}}{text}"
    line = Text(printable(line, None) if whole else console.lines(line, _LABEL))
    line.stylize("bold", 0, len(label))
    console.print(line)


def say_model(console: Console, attrs: dict, key: str) -> None:
    """The model whose facts stand under `key`: its weights, size and normalisation, its note.

    Of the note that it was loaded with, only what the label does not say, and no advice: that comes
    once, at the end (`say_random`).
    """
    facts = {name.removeprefix(f"{key}_"): value for name, value in attrs.items()}
    if "arrays" in facts:
        size = f"{facts['arrays']} arrays, {facts['bytes'] / 1e9:.3g} GB"
        say(console, "features", f"{attrs[key]} ({facts['spec']}): {size}")
        return
    note = str(facts.get("note", "")).removeprefix(f"{facts['name']}: ").split("; ")
    weights, *remarks = [part for part in note if not part.startswith("for trained ones")]
    weights = "" if weights.startswith("weights of ") else weights
    parts = [weights, f"{int(facts['parameters']):,} parameters", pixels(facts["image_size"])]
    parts.append(f"mean {_once(facts['mean']) or 0}, std {_once(facts['std']) or 1}")
    label, spec = attrs[key], str(facts.get("spec", "")).removesuffix("@random")
    if spec and spec != label.removesuffix("@random"):
        label = f"{label} ({spec})"
    say(console, "model", f"{label}: {', '.join(filter(None, parts))}")
    if remarks:
        say(console, "", "; ".join(remarks))


def say_random(console: Console, models: Sequence[tuple[dict, str]]) -> None:
    """One line, where weights are random: whose, and what to type for trained ones.

    models: attributes and the key under which a model's facts stand in them.
    """
    from vitprobe.models.names import find_source
    from vitprobe.models.spec import DIGITS, PRETRAINED, RANDOM, SHIPPED

    found = [attrs[f"{key}_name"] for attrs, key in models if attrs[f"{key}_weights"] == RANDOM]
    sources = [find_source(name) for name in dict.fromkeys(found)]
    shipped = [f"{each.name}@{DIGITS}" for each in sources if each.name in SHIPPED]
    hubs = []
    for source in sources:
        with suppress(InputError):  # there are none
            source.for_pretrained()
            hubs.append(f"{source.name}@{PRETRAINED}")
    trained = [f"{', '.join(shipped)} (shipped with vitprobe)"] if shipped else []
    trained += ["NAME@FILE"]
    trained += [f"{', '.join(hubs)} (over a network)"] if hubs else []
    if sources:
        names = ", ".join(source.name for source in sources)
        say(console, "weights", f"random: {names}; trained ones: {', '.join(trained)}")


def say_end(console: Console, attrs: dict, paths: list[Path]) -> None:
    """Which examples were used, if not those that were told before; the seconds; what was
    written."""
    console.print()
    if attrs["examples"] != attrs["examples_planned"]:  # bad ones were skipped, a stream ended
        batches = f"{attrs['batches']} batch{'' if attrs['batches'] == 1 else 'es'}"
        say(console, "used", f"{attrs['examples']:,} examples in {batches}")
    seconds = {
        name.removeprefix("seconds_"): value
        for name, value in attrs.items()
        if name.startswith("seconds_")
    }
    split = ", ".join(f"{part} {value:.1f}" for part, value in seconds.items() if part != "other")
    say(console, "seconds", f"{sum(seconds.values()):.1f}: {split}")
    for path in paths:
        say(console, "wrote", str(path))


def say_blanks(console: Console, result: xr.Dataset, label: str, reasons: str) -> None:
    """Why a model's layers have no value, if any have none. reasons: a variable of the result."""
    if found := Counter(filter(None, result[reasons].values.tolist())):
        say(console, label, f"{result.attrs['model']}: {counted(found)}")


def say_models(
    console: Console,
    results: list[xr.Dataset],
    paths: list[Path],
    print_layers: Callable[[Console, xr.Dataset], None],
) -> None:
    """Of results of a model each: its layers; then the end, and whose weights are random."""
    for result in results:
        console.print()
        print_layers(console, result)
    say_end(console, results[0].attrs, paths)
    say_random(console, [(result.attrs, "model") for result in results])


def pixels(image_size: str) -> str:
    """`"32, 32"` -> `"32 px"`; "" where it is not known."""
    size = str(image_size).split(", ")
    return f"{' x '.join(dict.fromkeys(size))} px" if all(size) else ""


def kind_words(kind: str) -> str:
    """What the kind of a residual sum is called where it is read."""
    return {"mlp": "MLP"}.get(kind, kind)


def counted(reasons: Counter) -> str:
    """`3 (one reason); 1 (another)`."""
    return "; ".join(f"{count} ({reason})" for reason, count in reasons.most_common())


def _once(channels: str) -> str:
    """`0.3, 0.3, 0.3` -> `0.3`: grey images have one mean."""
    values = channels.split(", ")
    return values[0] if len(set(values)) == 1 else channels
